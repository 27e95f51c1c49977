"""Examples that the help of each command ends with; a test holds them against the options."""

EXAMPLES = {
    "": (
        "python run_all.py                          # the quick study",
        "python run_all.py run --study smoke        # four tiny cells, under a minute",
        "python run_all.py --quiet run --study core # no progress, no tables",
        "python run_all.py ui --study quick         # compare placements in MLflow",
    ),
    "run": (
        "python run_all.py run --study smoke",
        "python run_all.py run --study core --data ~/mine --set train.steps=900",
        "python run_all.py run --study full --only 'EMBDL.*' --max-hours 8",
        "python run_all.py run --study quick --retry failed",
        "python run_all.py run --study core --until-decided --max-seeds 10",
    ),
    "plan": (
        "python run_all.py plan --study full",
        "python run_all.py plan --study core --json",
    ),
    "report": ("python run_all.py report --study core", "python run_all.py report --all"),
    "explain": (
        "python run_all.py explain dense --study quick",
        "python run_all.py explain E-B--.multi.supervised.global --study core --json",
    ),
    "enhance": (
        "python run_all.py enhance noisy.wav enhanced.wav",
        "python run_all.py enhance recordings/ enhanced/ --force",
        "python run_all.py enhance noisy.wav out.wav --study core --cell dense",
    ),
    "register": (
        "python run_all.py register EMBDL.multi.supervised.global --study quick",
        "python run_all.py register dense --tracking-uri http://server:5000",
    ),
    "score": (
        "python run_all.py score estimates --as rnnoise --version 'pyrnnoise 0.4.5'",
        "python run_all.py score ours/ --as other-net --study core",
    ),
    "measure": (
        "python run_all.py measure --study quick --measures all",
        "python run_all.py measure --study core --measures composite,srmr",
    ),
    "ui": (
        "python run_all.py ui --study quick",
        "python run_all.py ui --study core --port 0",
    ),
    "bench": ("python run_all.py bench --quick", "python run_all.py bench --measures"),
    "check": (
        "python run_all.py check metric pesq_wb",
        "python run_all.py check expert reverb",
        "python run_all.py check corpus ~/my/recordings",
        "python run_all.py check study depth.toml",
    ),
    "data prepare": (
        "python run_all.py data prepare",
        "python run_all.py data prepare --data recordings",
        "python run_all.py data prepare --data librispeech:/corpora --download",
    ),
    "results verify": (
        "python run_all.py results verify quick",
        "python run_all.py results verify quick --runs 1 --cell dense --cheapest",
        "python run_all.py results verify core --runs 5 --seed 2 --device cuda",
    ),
    "results merge": (
        "python run_all.py results merge /mnt/a/results/core /mnt/b/results/core",
        "python run_all.py results merge core /mnt/b/results/core --into core",
    ),
    "results archive": (
        "python run_all.py results archive quick",
        "python run_all.py results archive core --to /mnt/paper/core.tar",
    ),
    "results unpack": ("python run_all.py results unpack quick.tar --into quick-of-the-paper",),
    "data export": (
        "python run_all.py data export quick-test --study quick",
        "python run_all.py data export core-test --study core",
    ),
    "data check": ("python run_all.py data check --data ~/my/recordings --figures",),
}


def examples(command: str) -> str:
    """The end of a command's help; each example is a paragraph, as the formatter wants it."""
    return "\n\n".join(["[bold]Examples[/]", *EXAMPLES[command]])
