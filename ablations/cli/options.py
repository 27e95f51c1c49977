"""Options of the command line: which study, which part of it now, and with what means."""

from pathlib import Path
from typing import Annotated

import typer

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only what was asked for, failures and errors.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also what the libraries have to say.")
]
Study = Annotated[
    str, typer.Option(help="smoke, quick, core, full, paper, or the path of a study file (.toml).")
]
Data = Annotated[
    str | None,
    typer.Option(help="Corpus instead of the study's own: synthetic, recordings, or a folder."),
]
Results = Annotated[Path, typer.Option(help="Where results are read and written.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, e.g. train.steps=500; can be repeated."),
]
Seed = Annotated[int, typer.Option(help="Which seed's network.")]
Cell = Annotated[str, typer.Argument(help="A cell code, e.g. E-B--.multi.supervised.global.")]
Network = Annotated[str, typer.Option("--cell", help="Whose network.")]
Every = Annotated[
    bool, typer.Option("--all", help="Every stored study, a page over all, how robust they are.")
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Source = Annotated[Path, typer.Argument(metavar="IN", help="A recording of speech, or a folder.")]
Target = Annotated[
    Path, typer.Argument(metavar="OUT", help="Where to write: a file, or a folder for a folder.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace what OUT holds; never IN.")]
Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Estimates, named like the files of data export.")
]
System = Annotated[str, typer.Option("--as", metavar="NAME", help="What to call the system.")]
Version = Annotated[
    str, typer.Option("--version", metavar="TEXT", help="Which version, in your words.")
]
ScoreData = Annotated[
    str | None, typer.Option("--data", help="Where the study's corpus is, if not where it was.")
]
Measures = Annotated[
    str, typer.Option("--measures", help="Further measures: composite,srmr,..., or all installed.")
]
MeasureCost = Annotated[
    bool, typer.Option("--measures", help="Time each measure instead, per utterance and core.")
]
ExportFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write the files.")]
BenchDevice = Annotated[str, typer.Option(help="cpu or cuda.")]
BenchThreads = Annotated[int, typer.Option(min=0, max=4096, help="0: all cores.")]
Trial = Annotated[bool, typer.Option("--quick", help="Tiny sizes: a trial, no result.")]
Corpus = Annotated[str, typer.Option(help="synthetic, recordings, or a folder.")]
Download = Annotated[
    bool, typer.Option(help="Fetch librispeech or vctk first, where ROOT lacks them.")
]
Metrics = Annotated[bool, typer.Option("--metrics", help="Score the unprocessed test set as well.")]
Figures = Annotated[bool, typer.Option("--figures", help="Draw distributions, too.")]
Kind = Annotated[str, typer.Argument(help="metric, expert, corpus or study.")]
Extension = Annotated[
    str, typer.Argument(help="A metric, a kind of expert, a corpus, or a study's name or file.")
]
Port = Annotated[
    int, typer.Option(min=0, max=65535, help="Port on this machine; 0 for any that is free.")
]
Jobs = Annotated[
    str, typer.Option(help="Runs at once, or auto: what cores and memory allow; 8 on each GPU.")
]
Threads = Annotated[
    int | None,
    typer.Option(help="Threads of each run; default: cores divided by jobs."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Backend = Annotated[
    str, typer.Option(help="loky (this machine), ray (a cluster) or slurm (its queue).")
]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster, e.g. auto or HOST:6379; default: this machine.")
]
Slurm = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="What Slurm's jobs ask for, as submitit names it, e.g. slurm_partition=gpu.",
    ),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI", help="MLflow server or database; default: SQLite in RESULTS."
    ),
]
Only = Annotated[
    list[str] | None, typer.Option(help="Cells to run now, e.g. 'EMBDL.*'; can be repeated.")
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="At most so many runs now: each cell once, then further levels."),
]
MaxHours = Annotated[float | None, typer.Option(help="Stop after so long; the next start goes on.")]
UntilDecided = Annotated[
    bool,
    typer.Option(
        "--until-decided",
        help="Add seeds until every S-MoE network is better, worse or equivalent to dense.",
    ),
]
MaxSeeds = Annotated[int | None, typer.Option(min=1, help="With --until-decided: at most so many.")]
Timeout = Annotated[
    float | None,
    typer.Option(metavar="HOURS", help="A run that takes longer at one go has failed."),
]
CheckpointEvery = Annotated[
    float, typer.Option(metavar="SECONDS", help="What a killed run loses at most.")
]
FromBundle = Annotated[
    bool,
    typer.Option(
        "--from-bundle", help="Train only what the bundles in RESULTS, e.g. of a clone, lack."
    ),
]
Report = Annotated[
    bool,
    typer.Option(
        "--report/--no-report",
        help="Without it, `report` writes the tables and figures later or elsewhere.",
    ),
]
Retry = Annotated[
    str | None, typer.Option(metavar="failed", help="Try runs that failed before once more.")
]
Bundle = Annotated[
    str, typer.Argument(help="A study with results, or the folder that holds its study.json.")
]
Runs = Annotated[int, typer.Option("--runs", min=1, help="How many runs to train again.")]
SampledCells = Annotated[
    list[str] | None,
    typer.Option("--cell", help="Choose among the runs of this cell; can be repeated."),
]
SampledSeeds = Annotated[
    list[int] | None,
    typer.Option("--seed", help="Choose among the runs of this seed; can be repeated."),
]
Cheapest = Annotated[
    bool,
    typer.Option(
        "--cheapest",
        help="Those with the least to compute; else spread evenly over seeds and cells.",
    ),
]
Scratch = Annotated[
    Path | None,
    typer.Option(
        help="Train there and keep it; after a kill the same command goes on. Else nothing is kept."
    ),
]
First = Annotated[
    str, typer.Argument(metavar="A", help="A bundle: a study in RESULTS, or a folder.")
]
Second = Annotated[str, typer.Argument(metavar="B", help="Another bundle of the same study.")]
Into = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Folder in RESULTS; default: the name of the study."),
]
Keep = Annotated[
    str | None,
    typer.Option(
        metavar="first|second",
        help="Whose results stand where both have a run with different ones.",
    ),
]
Mixed = Annotated[
    bool,
    typer.Option(
        "--mixed",
        help="Accept bundles of different commits or versions of packages; both are named.",
    ),
]
Archive = Annotated[
    Path, typer.Argument(metavar="FILE", help="What `results archive` has written.")
]
To = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where to; default: STUDY.tar in this folder.")
]
