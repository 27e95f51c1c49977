"""Examples that the help of each command ends with; a test holds them against the options."""

EXAMPLES = {
    "": (
        "run_all.py                                  the quick study",
        "run_all.py run --study smoke                four tiny cells, under a minute",
        "run_all.py --quiet run --study core         no progress, no tables",
        "run_all.py ui --study quick                 compare placements in MLflow",
    ),
    "run": (
        "run_all.py run --study smoke",
        "run_all.py run --study core --data ~/corpora/mine --set train.steps=4000",
        "run_all.py run --study full --only 'EMBDL.*' --max-hours 8 --device cuda",
        "run_all.py run --study quick --retry failed",
    ),
    "plan": (
        "run_all.py plan --study full",
        "run_all.py plan --study core --json",
    ),
    "report": ("run_all.py report --study core", "run_all.py report --all"),
    "explain": (
        "run_all.py explain dense --study quick",
        "run_all.py explain E-B--.multi.supervised.global --study core --json",
    ),
    "enhance": (
        "run_all.py enhance noisy.wav enhanced.wav",
        "run_all.py enhance noisy.wav enhanced.wav --study core --cell dense --seed 2",
    ),
    "register": (
        "run_all.py register EMBDL.multi.supervised.global --study quick",
        "run_all.py register dense --study core --seed 2 --tracking-uri http://server:5000",
    ),
    "ui": (
        "run_all.py ui --study quick",
        "run_all.py ui --study core --port 0",
    ),
    "bench": ("run_all.py bench --quick",),
    "prepare": (
        "run_all.py data prepare",
        "run_all.py data prepare --data recordings",
        "run_all.py data prepare --data librispeech:/corpora --download",
    ),
    "verify": (
        "run_all.py results verify quick",
        "run_all.py results verify quick --runs 1 --cell dense --cheapest",
        "run_all.py results verify core --runs 5 --seed 2 --device cuda",
    ),
    "merge": (
        "run_all.py results merge /mnt/a/results/core /mnt/b/results/core",
        "run_all.py results merge core /mnt/b/results/core --into core",
    ),
    "archive": (
        "run_all.py results archive quick",
        "run_all.py results archive core --to /mnt/paper/core.tar",
    ),
    "unpack": ("run_all.py results unpack quick.tar --into quick-of-the-paper",),
    "check": ("run_all.py data check --data ~/my/recordings --figures",),
}


def examples(command: str) -> str:
    """The end of a command's help; each example is a paragraph, as the formatter wants it."""
    return "\n\n".join(["[bold]Examples[/]", *EXAMPLES[command]])
