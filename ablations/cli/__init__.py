"""The command line: its options, help, terminal output and refusals."""
