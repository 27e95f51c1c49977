"""What the help of the commands `results ...` teaches."""

_HELP = {
    "verify": """
Train a sample of a bundle's runs again and say whether the stored results hold.

The stored study is only read; the runs are trained in a folder of their own. Each is one of three:

[bold]Equal to the bit[/]: every score, router weight and training loss is the same. To be expected
of the same code and packages on the same kind of device, on processors with as many threads for
each run.

[bold]Within rounding[/]: the mean of each metric over the distorted utterances differs by at most
three standard deviations of what the rounding spread in study.json lets expect or, where none is
stored, by the study's margin of equivalence (usually 0.02 PESQ-WB, 0.01 STOI, 0.015 ESTOI, 0.5 dB
SI-SDR) or six standard errors of the difference, whichever is larger; and the training losses
differ by at most half of how much they vary from one logged step to the next, since other batches
or another network show there first. After a training that is the same to the bit, no single score
may differ by more than the margin. No more than this can be expected of other hardware, packages or
another commit, and the command says so where they differ.

[bold]Different[/]: anything else.

Exit status: 0 all hold, 1 a run is different or could not be trained, 2 something to mend.
""",
    "merge": """
Put two bundles of one study together, as if one machine had done all of their runs.

Both have to be of the same study, settings, data and revision of the code; what differs is said in
one sentence. A run that both have stands once; if its results differ, nothing is merged unless
--keep says whose stand. The bundle goes into RESULTS/NAME, a new folder or that of A or B, of which
the earlier state is then kept in RESULTS/.replaced.

The files are those of the undivided study, to the byte; only what was measured differs: training
times, real-time factors, and digests, which follow from them.
""",
    "archive": """
Pack a bundle, its tables and its figures into one file with checksums.

It is a plain tar, the same bytes each time, whose first member MANIFEST.json names each file with
its size and sha256, the commit and the data hash. Weights, audio and report.html are left out.
""",
    "unpack": """
Unpack what `results archive` has written, once all of it has been checked.

Every file has to be one of a bundle, named in the manifest, and of its sha256. Links, names that
lead elsewhere and files that are too large are refused, and nothing that exists is replaced.
""",
}


def help_of(command: str) -> str:
    """Return the help of a command, its paragraphs without line breaks, which the terminal sets."""
    paragraphs = _HELP[command].strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
