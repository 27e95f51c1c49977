"""Command line of the S-MoE ablation suite.

Without a command it runs the quick study: corpus, grid, MLflow, tables, figures.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from smoe.errors import UserError

if TYPE_CHECKING:
    from ablations.plan import PlannedRun
    from ablations.study import Study

console = Console()
app = typer.Typer(
    help="Where in a complex U-Net does a supervised mixture of experts help, and why?\n\n"
    "Without a command: `run --study quick`.",
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Prepare or check a corpus.", no_args_is_help=True)
app.add_typer(data_app, name="data")

StudyOption = Annotated[
    str, typer.Option(help="smoke, quick, core, full, paper, or the path of a study file (.toml).")
]
DataOption = Annotated[
    str | None,
    typer.Option(help="Corpus instead of the study's own: synthetic, or a folder of recordings."),
]
ResultsOption = Annotated[Path, typer.Option(help="Where results are read and written.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, e.g. train.steps=500; can be repeated."),
]
SeedOption = Annotated[int, typer.Option(help="Which seed's network.")]
RESULTS = Path("results")


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Without a command: the quick study."""
    if context.invoked_subcommand is None:
        run()


@app.command()
def run(
    study: StudyOption = "quick",
    data: DataOption = None,
    results: ResultsOption = RESULTS,
    jobs: Annotated[
        str, typer.Option(help="Runs at once, or auto: what cores and memory allow.")
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    backend: Annotated[str, typer.Option(help="loky (this machine) or ray (a cluster).")] = "loky",
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow server or database; default: SQLite in RESULTS.")
    ] = None,
    settings: SetOption = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Cells to run now, e.g. 'EMBDL.*'; can be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many runs now.")] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0, help="Stop after so long; the next start goes on.")
    ] = None,
    retry: Annotated[
        str | None, typer.Option(metavar="failed", help="Try runs that failed before once more.")
    ] = None,
) -> None:
    """Train what is missing of a study, then write tables and figures.

    Finished runs are skipped, interrupted ones go on where they were.

    [bold]Examples[/]

    run_all.py run --study smoke

    run_all.py run --study core --data ~/corpora/mine --set train.steps=4000
    """
    from ablations.pipeline import Choice, means_of, outcome_lines, run_study

    if retry not in (None, "failed"):
        raise UserError(f'--retry takes only "failed", not "{retry}".')
    chosen = _study(study, data, settings)
    outcome = run_study(
        chosen,
        results,
        means_of(jobs, device, backend, max_hours),
        Choice(tuple(only or ()), limit, retry_failed=retry == "failed"),
        tracking_uri=tracking_uri,
        summarise=_summaries,
        console=console,
    )
    if outcome.skipped or outcome.done:
        _last_screen(chosen.name, results / chosen.name, rebuild=bool(outcome.done))
    for line in outcome_lines(outcome):
        print(line)
    if outcome.failed:
        raise typer.Exit(1)


@app.command()
def plan(
    study: StudyOption = "quick",
    data: DataOption = None,
    results: ResultsOption = RESULTS,
    settings: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List a study's cells and what is done, missing or failed; trains nothing."""
    from ablations.pipeline import study_plan, summary_lines

    chosen = _study(study, data, settings)
    runs = study_plan(chosen, results)
    if as_json:
        print(json.dumps([_plan_row(each) for each in runs], indent=1))
        return
    for line in summary_lines(chosen, runs, results):
        console.print(line, highlight=False)


@app.command()
def report(study: StudyOption = "quick", results: ResultsOption = RESULTS) -> None:
    """Rebuild tables and figures from stored results alone."""
    _last_screen(study, results / study)


@app.command()
def explain(
    cell: Annotated[str, typer.Argument(help="A cell code, e.g. E-B--.multi.supervised.global.")],
    study: StudyOption = "quick",
    results: ResultsOption = RESULTS,
) -> None:
    """Show the runs, settings and every number behind a cell's table entries."""
    from ablations.grid import find
    from analysis.explain import explain as explain_cell

    console.print(explain_cell(results / study, find(cell).code), highlight=False, soft_wrap=True)


@app.command()
def enhance(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A recording of speech.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where to write 16 kHz mono.")],
    cell: Annotated[str, typer.Option(help="Whose network.")] = "EMBDL.multi.supervised.global",
    study: StudyOption = "quick",
    seed: SeedOption = 0,
    results: ResultsOption = RESULTS,
) -> None:
    """Enhance a recording with a network that a study has trained."""
    from ablations.grid import find
    from ablations.pipeline import trained_run
    from smoe.enhance import enhance_file, load_enhancer

    model, weights = trained_run(results, study, find(cell).code, seed)
    for note in enhance_file(load_enhancer(model, weights), source, target):
        console.print(f"{source.name}: {note}")
    console.print(f"Wrote {target}.")


@app.command()
def ui(
    study: StudyOption = "quick",
    results: ResultsOption = RESULTS,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
) -> None:
    """Open the MLflow view of what has been run, on this machine only."""
    from ablations.ui import rebuild, serve

    rebuild(results, study).log_summaries(_summaries(results / study))
    serve(results, port, console)


@app.command()
def bench(
    results: ResultsOption = RESULTS,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="0: all cores.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes: a trial, no result.")] = False,
) -> None:
    """Time the network against its source carried out to the letter."""
    from ablations.bench import bench as measure
    from analysis.bench import report_bench

    path = measure(results, device, threads=threads, quick=quick, on_progress=console.print)
    report_bench(path.parent)
    print(path.with_suffix(".md").read_text())


@data_app.command()
def prepare(
    data: Annotated[str, typer.Option(help="synthetic, or a folder.")] = "synthetic",
    results: ResultsOption = RESULTS,
    download: Annotated[
        bool, typer.Option(help="Fetch librispeech or vctk first, where ROOT lacks them.")
    ] = False,
) -> None:
    """Build or cache a corpus and print its hash."""
    from ablations.pipeline import prepare_corpus
    from smoe.corpora.download import download as fetch

    for said in fetch(data) if download else []:
        console.print(said, soft_wrap=True)
    corpus = prepare_corpus(data, results, console)
    for note in corpus.notes:
        console.print(note)
    console.print(f"{data}: {corpus.data_hash}", soft_wrap=True)


@data_app.command()
def check(
    data: Annotated[str, typer.Option(help="synthetic, or a folder.")] = "synthetic",
    results: ResultsOption = RESULTS,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Score the unprocessed test set as well.")
    ] = False,
    figures: Annotated[bool, typer.Option("--figures", help="Draw distributions, too.")] = False,
) -> None:
    """Report totals, levels, reverberation, refused files and leakage of a corpus."""
    from ablations.pipeline import prepare_corpus
    from smoe.corpora import cores
    from smoe.corpora.check import check as check_corpus

    corpus = prepare_corpus(data, results, console)
    print(check_corpus(corpus, metrics_jobs=cores() if metrics else 0))
    if figures:
        from analysis.corpus_figures import draw_corpus
        from smoe.corpora.facts import write_facts

        folder = results / "corpus" / corpus.data_hash[:12]
        write_facts(corpus, folder / "facts.npz")
        for path in draw_corpus(folder / "facts.npz", folder):
            print(path)


def _study(name: str, data: str | None, settings: list[str] | None) -> "Study":
    from ablations.study import load_study

    return load_study(name, data, settings or [])


def _summaries(bundle: Path) -> dict[str, dict[str, float]]:
    from analysis.load import load_bundle
    from analysis.summaries import cell_summaries

    return cell_summaries(load_bundle(bundle))


def _plan_row(run: "PlannedRun") -> dict[str, object]:
    return {
        "cell": run.cell,
        "seed": run.seed,
        "state": run.state(),
        "run_id": run.folder.run_id,
    }


def _last_screen(study: str, folder: Path, *, rebuild: bool = True) -> None:
    from analysis.report import build_report, screen

    if rebuild or not (folder / "report.html").exists():
        build_report(folder)
    print(screen(folder))
    print(f"MLflow   python run_all.py ui --study {study}")


def entry() -> None:
    """Runs the command line; what a user can mend is one sentence and exit status 2."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    try:
        app()
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        from analysis.load import BundleError  # here, since it brings pandas

        if not isinstance(error, UserError | BundleError):
            raise
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    entry()
