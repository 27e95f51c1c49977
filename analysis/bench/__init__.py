"""Tables and figures of the benchmark, from its stored measurements."""
