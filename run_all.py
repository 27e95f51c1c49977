"""Command line of the S-MoE ablation suite.

Without a command it runs the quick study: corpus, grid, MLflow, tables, figures.
"""

import json
import logging
import os
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ablations.cli import options
from ablations.cli.examples import examples
from ablations.cli.hyphens import CellCommand
from ablations.cli.terminal import PlainConsole, complain, lasting_output, say
from ablations.travel import commands
from smoe.errors import UserError
from smoe.schema.cells import is_outside
from smoe.user import have_a_name

if TYPE_CHECKING:
    from ablations.tracking.study_view import Summary

console = PlainConsole()
app = typer.Typer(
    help="Where in a complex U-Net does a supervised mixture of experts help, and why?",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Prepare or check a corpus.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(commands.app, name="results")

RESULTS = Path("results")
INTERRUPTED = 130  # exit status after Ctrl-C


@app.callback(invoke_without_command=True, epilog=examples(""))
def main(
    context: typer.Context, quiet: options.Quiet = False, verbose: options.Verbose = False
) -> None:
    """Without a command: the quick study."""
    console.quiet = quiet
    have_a_name()
    warnings.simplefilter("default" if verbose else "ignore")
    os.environ.setdefault("PYTHONWARNINGS", "default" if verbose else "ignore")  # of workers
    if verbose:
        logging.basicConfig(level=logging.INFO)
    if context.invoked_subcommand is None:
        run()


@app.command(epilog=examples("run"))
def run(
    study: options.Study = "quick",
    data: options.Data = None,
    results: options.Results = RESULTS,
    jobs: options.Jobs = "auto",
    threads: options.Threads = None,
    device: options.Device = "auto",
    backend: options.Backend = "loky",
    address: options.Address = None,
    slurm: options.Slurm = None,
    tracking_uri: options.TrackingUri = None,
    settings: options.Set = None,
    only: options.Only = None,
    limit: options.Limit = None,
    until_decided: options.UntilDecided = False,
    max_seeds: options.MaxSeeds = None,
    max_hours: options.MaxHours = None,
    timeout: options.Timeout = None,
    checkpoint_every: options.CheckpointEvery = 20.0,
    retry: options.Retry = None,
    from_bundle: options.FromBundle = False,
    with_report: options.Report = True,
) -> None:
    """Train what is missing of a study, then write tables and figures.

    Finished runs are skipped, interrupted ones go on where they were. Exit status: 0 done, 1 some
    run failed, 2 something to mend (said in one sentence), 130 stopped by Ctrl-C.
    """
    from ablations.cli.packages import REPORTING, TRAINING, require_packages
    from ablations.cli.summary import outcome_lines
    from ablations.execution.resources import means_of
    from ablations.pipeline import Choice, run_study
    from ablations.studies.study import load_study
    from ablations.until_decided import run_until_decided, with_looks
    from smoe.schema.names import options_of

    chosen = load_study(study, data, settings or [])
    choice = Choice(tuple(only or ()), limit, retry, from_bundle)
    require_packages((*TRAINING, *REPORTING))
    limits = {"max_hours": max_hours, "timeout_hours": timeout}
    where = {"address": address, "slurm": tuple(slurm or ())}
    means = means_of(jobs, device, backend, checkpoint_every, threads, **limits, **where)
    chosen = with_looks(chosen, until_decided, max_seeds, whole=not (only or limit))
    run_part = partial(
        run_study,
        results=results,
        means=means,
        choice=choice,
        tracking_uri=tracking_uri,
        summarise=_summarise,
        draw=_draw,
        console=console,
    )
    if until_decided:
        outcome = run_until_decided(chosen, results, run_part, _undecided, console.print)
    else:
        outcome = run_part(chosen)
    if with_report and (outcome.skipped or outcome.done):
        _last_screen(chosen.name, results)
    for line in outcome_lines(outcome, options_of(study, results)):
        say(line)
    if outcome.failed:
        raise typer.Exit(1)


@app.command(epilog=examples("plan"))
def plan(
    study: options.Study = "quick",
    data: options.Data = None,
    results: options.Results = RESULTS,
    settings: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """List a study's cells and what is done, missing or failed; trains nothing.

    Once the study has results of two seeds, it also says how many seeds a difference needs.
    """
    from ablations.bundles.replacing import stored_keys
    from ablations.cli.summary import plan_rows, summary_lines
    from ablations.pipeline import study_plan
    from ablations.studies.study import load_study

    chosen = load_study(study, data, settings or [])
    runs = study_plan(chosen, results)
    stored = stored_keys(results / chosen.name, chosen)
    if as_json:
        say(json.dumps(plan_rows(runs, stored), indent=1))
        return
    for line in summary_lines(chosen, runs, results, stored):
        console.print(line)
    for line in _seeds_needed(results / chosen.name):
        console.print(line)


@app.command(epilog=examples("report"))
def report(
    study: options.Study = "quick",
    results: options.Results = RESULTS,
    every: options.Every = False,
) -> None:
    """Rebuild tables and figures from stored results alone."""
    from smoe.schema.names import require_stored

    if not every:
        require_stored(results, study)
        _last_screen(study, results, rebuild=True)
        return
    from analysis.report.overview import build_overview

    with console.status("Reporting every study ..."):
        page = build_overview(results)
    say(f"Page     {page}")
    say(f"Table    {results / 'robustness.md'}")


@app.command(cls=CellCommand, epilog=examples("explain"))
def explain(
    cell: options.Cell,
    study: options.Study = "quick",
    results: options.Results = RESULTS,
    as_json: options.Json = False,
) -> None:
    """Show the runs, settings and every number behind a cell's table entries."""
    from smoe.schema.names import require_cell

    require_cell(results, study, cell)
    from analysis.report import explain as behind

    if as_json:
        say(json.dumps(behind.cell_facts(results / study, cell), indent=1, allow_nan=False))
        return
    say(behind.explain(results / study, cell), end="")


@app.command(epilog=examples("score"))
def score(
    folder: options.Folder,
    name: options.System,
    study: options.Study = "quick",
    version: options.Version = "",
    data: options.ScoreData = None,
    measures: options.Measures = "",
    results: options.Results = RESULTS,
    tracking_uri: options.TrackingUri = None,
    with_report: options.Report = True,
) -> None:
    """Score another system's estimates of a study's test set (from `data export`) as a cell.

    It then stands in the tables, figures and MLflow of that study, marked as an outside system,
    until estimates of the same name take its place.
    """
    from ablations.scoring.outside import score_outside
    from ablations.tracking.mlflow_ui import rebuild
    from smoe.schema.names import options_of

    more = {"version": version, "data": data, "measures": measures}
    cell = score_outside(folder, name, results / study, console, **more)
    rebuild(results, study, _summarise, _draw, uri=tracking_uri, only=is_outside)
    if with_report:
        _last_screen(study, results, rebuild=True)
    say(f"System   python run_all.py explain {cell} {options_of(study, results)}")


@app.command(epilog=examples("measure"))
def measure(
    study: options.Study = "quick",
    measures: options.Measures = "all",
    data: options.ScoreData = None,
    results: options.Results = RESULTS,
    with_report: options.Report = True,
) -> None:
    """Score a study's input and its networks, where their weights are here, in further measures.

    Nothing is trained. Outside systems are scored in them by `score --measures`.
    """
    from ablations.scoring.measures import measure as measure_runs

    for name in measure_runs(results / study, measures, console, data=data):
        console.print(f"Scored {name}.")
    if with_report:
        _last_screen(study, results, rebuild=True)


@app.command(epilog=examples("enhance"))
def enhance(
    source: options.Source,
    target: options.Target,
    cell: options.Network = "EMBDL.multi.supervised.global",
    study: options.Study = "quick",
    seed: options.Seed = 0,
    results: options.Results = RESULTS,
    force: options.Force = False,
) -> None:
    """Enhance a recording, or a folder of them, with a network that a study has trained.

    Sample rate, channels and bit depth stay. Inputs are never overwritten, other files only with
    --force. Exit status 1: some file of a folder could not be enhanced.
    """
    from ablations.cli.enhancing import enhance_all, outcome_lines
    from ablations.runs.trained_networks import trained_run
    from smoe.evaluation.enhance_plan import plan_enhancement

    model, weights = trained_run(results, study, cell, seed)
    chosen = plan_enhancement(source, target, force=force)
    from smoe.evaluation.enhance import load_enhancer  # PyTorch, only now

    failed = enhance_all(load_enhancer(model, weights), chosen, console, force=force)
    for line in outcome_lines(chosen, target, failed):
        say(line)
    if failed:
        raise typer.Exit(1)


@app.command(cls=CellCommand, epilog=examples("register"))
def register(
    cell: options.Cell,
    study: options.Study = "quick",
    seed: options.Seed = 0,
    results: options.Results = RESULTS,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Put a trained network into MLflow's model registry, to load and serve it from there."""
    from ablations.studies.grid import find
    from ablations.tracking.model_registry import register as register_model

    say(register_model(results, study, find(cell).code, seed, tracking_uri))


@app.command(epilog=examples("ui"))
def ui(
    study: options.Study = "quick",
    results: options.Results = RESULTS,
    port: options.Port = 5000,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Open the MLflow view of what has been run, on this machine only; Ctrl-C stops it.

    It opens with the means of each network; the trainings follow while it is open. A tracking
    server that runs already is brought up to the results instead.
    """
    from ablations.tracking.ui_open import open_view

    open_view(results, study, port, tracking_uri, console, _summarise, _draw_example)


@app.command(epilog=examples("bench"))
def bench(
    results: options.Results = RESULTS,
    device: options.BenchDevice = "cpu",
    threads: options.BenchThreads = 0,
    quick: options.Trial = False,
    measures: options.MeasureCost = False,
) -> None:
    """Time the network against its source carried out to the letter."""
    if measures:
        from ablations.scoring.cost import costs
        from analysis.bench.measures import cost_text

        say(cost_text(costs(results, console, rounds=1 if quick else 5)))
        return
    from ablations.bench.benchmark import bench as measure
    from analysis.bench.report import report_bench

    path = measure(results, device, threads=threads, quick=quick, on_progress=console.print)
    report_bench(path.parent)
    say(path.with_suffix(".md").read_text(encoding="utf-8"))


@app.command(epilog=examples("check"))
def check(kind: options.Kind, name: options.Extension, results: options.Results = RESULTS) -> None:
    """Try a metric, kind of expert, corpus or study of yours for what the suite relies on.

    Each failure is one sentence. Exit status: 0 all is well, 1 something fails.
    """
    from ablations.contract.check import broken

    with console.status(f"Trying {kind} {name} ..."):
        found = broken(kind, name, results)
    for sentence in found:
        say(sentence)
    if found:
        raise typer.Exit(1)
    say(f"The {kind} {name} does what the suite relies on.")


@data_app.command(epilog=examples("data prepare"))
def prepare(
    data: options.Corpus = "synthetic",
    results: options.Results = RESULTS,
    download: options.Download = False,
) -> None:
    """Build or cache a corpus and print its hash; the corpus recordings is fetched first."""
    from ablations.pipeline import prepare_corpus
    from smoe.corpora.download import download as fetch
    from smoe.corpora.download import is_fetched_unasked

    if download or is_fetched_unasked(data):
        with console.status("Fetching ...") as status:
            said = fetch(data, lambda _, done, of: status.update(f"Fetching {done} of {of} files"))
        console.print("\n".join(said))
    corpus = prepare_corpus(data, results, console)
    for note in corpus.notes:
        console.print(note)
    console.print(f"{data}: {corpus.data_hash}")


@data_app.command(epilog=examples("data export"))
def export(
    folder: options.ExportFolder,
    study: options.Study = "quick",
    data: options.Data = None,
    results: options.Results = RESULTS,
    settings: options.Set = None,
) -> None:
    """Write a study's test set as WAV, noisy and clean, with a manifest: for `score`."""
    from ablations.scoring.outside import export as export_study
    from ablations.studies.study import load_study

    manifest = export_study(load_study(study, data, settings or []), results, folder, console)
    say(f"Manifest {manifest}")


@data_app.command("check", epilog=examples("data check"))
def check_data(
    data: options.Corpus = "synthetic",
    results: options.Results = RESULTS,
    metrics: options.Metrics = False,
    figures: options.Figures = False,
) -> None:
    """Report totals, levels, reverberation, refused files and leakage of a corpus."""
    from ablations.pipeline import prepare_corpus
    from smoe.corpora import cores
    from smoe.inspection.check import check as check_corpus

    corpus = prepare_corpus(data, results, console)
    say(check_corpus(corpus, metrics_jobs=cores() if metrics else 0))
    if figures:
        from analysis.figures.corpus import draw_corpus
        from smoe.inspection.facts import write_facts

        folder = results / "corpus" / corpus.data_hash[:12]
        write_facts(corpus, folder / "facts.npz")
        for path in draw_corpus(folder / "facts.npz", folder):
            say(path)


def _summarise(bundle: Path) -> "Summary":
    from ablations.tracking.study_view import Summary
    from analysis.bundle.load import load_reported
    from analysis.findings.answer import answer
    from analysis.tables.summaries import add_differences, cell_summaries

    reported = load_reported(bundle)
    cells = cell_summaries(reported)
    verdicts = add_differences(reported, cells)
    return Summary(answer(reported), cells, verdicts)


def _draw(history: list, levels: dict, folder: Path) -> None:
    from analysis.figures.run import draw_run

    draw_run(history, levels, folder)


def _draw_example(_: list, levels: dict, folder: Path) -> None:
    """Draw spectrograms alone: MLflow draws the history itself, and figures of all take long."""
    if levels:
        _draw([], levels, folder)


def _undecided(bundle: Path) -> list[str]:
    from analysis.findings.primary_family import undecided_cells

    return undecided_cells(bundle)


def _seeds_needed(bundle: Path) -> list[str]:
    """How many seeds a study needs, from its own variance; nothing before it has results."""
    from analysis.bundle.load import load_reported
    from analysis.findings.power import planned_seeds

    return planned_seeds(load_reported(bundle)) if (bundle / "study.json").is_file() else []


def _last_screen(study: str, results: Path, *, rebuild: bool = False) -> None:
    from analysis.report.build import build_report, screen
    from smoe.schema.names import options_of

    folder = results / study
    page, stored = folder / "report.html", folder / "study.json"
    built = None
    if rebuild or not page.exists() or page.stat().st_mtime < stored.stat().st_mtime:
        built = build_report(folder)
    if not console.quiet:
        say(screen(folder, built))
        say(f"MLflow   python run_all.py ui {options_of(study, results)}")


def entry() -> None:
    """Run the command line; what a user can mend is one sentence and exit status 2."""
    try:
        with lasting_output():
            _carry_out()
    except UserError as error:  # the output itself
        with lasting_output():
            complain(f"Error: {error}")
        sys.exit(2)


def _carry_out() -> None:
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            complain("\nStopped; the same command goes on from here.")
        if end.code:
            raise
    except Exception as error:
        from ablations.cli.refusals import refusal

        complain(f"Error: {refusal(error)}")
        sys.exit(2)


if __name__ == "__main__":
    entry()
