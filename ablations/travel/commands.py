"""The commands `results ...`: stored results checked, put together, packed and unpacked."""

import shlex
import tempfile
from pathlib import Path

import typer

from ablations.cli import options
from ablations.cli.examples import examples
from ablations.cli.terminal import PlainConsole, say
from ablations.travel.help_texts import help_of

app = typer.Typer(
    help="Check, merge, archive or unpack stored results.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
RESULTS = Path("results")


@app.command(help=help_of("verify"), epilog=examples("results verify"))
def verify(
    context: typer.Context,
    study: options.Bundle = "quick",
    runs: options.Runs = 3,
    cell: options.SampledCells = None,
    seed: options.SampledSeeds = None,
    cheapest: options.Cheapest = False,
    results: options.Results = RESULTS,
    data: options.Data = None,
    device: options.Device = "auto",
    jobs: options.Jobs = "auto",
    threads: options.Threads = None,
    scratch: options.Scratch = None,
) -> None:
    """Train a sample of a bundle's runs again and say whether the stored results hold."""
    from ablations.execution.resources import means_of
    from ablations.travel.sample import sample_runs
    from ablations.travel.stored import bundle_folder, described_runs, described_study
    from ablations.travel.tolerance import limits_of
    from ablations.travel.verify import corpus_of, require_apart, verify_runs
    from ablations.travel.verify_text import origin_lines, verdict_lines
    from smoe.schema.bundle import read_bundle

    console = _console(context)
    folder = bundle_folder(study, results)
    stored = read_bundle(folder)
    described = described_study(stored)
    means = means_of(jobs, device, "loky", 20.0, threads)
    with tempfile.TemporaryDirectory(prefix="smoe-verify-") as temporary:
        place = scratch or Path(temporary)
        require_apart(place, folder)
        known = described_runs(stored, described, place)
        chosen = sample_runs(
            known, runs, cells=tuple(cell or ()), seeds=tuple(seed or ()), cheapest=cheapest
        )
        for line in origin_lines(stored, *_here(means.device)):
            say(line)
        corpus = corpus_of(stored, data, results, console)
        verified = verify_runs(stored, described, chosen, corpus, means, console)
    for line in verdict_lines(verified, limits_of(stored.study)):
        say(line)
    if not all(each.holds for each in verified):
        raise typer.Exit(1)


@app.command(help=help_of("merge"), epilog=examples("results merge"))
def merge(
    first: options.First,
    second: options.Second,
    into: options.Into = None,
    keep: options.Keep = None,
    mixed: options.Mixed = False,
    results: options.Results = RESULTS,
) -> None:
    """Put two bundles of one study together."""
    from ablations.travel.merge import kept_side
    from ablations.travel.merge import merge as merge_bundles
    from ablations.travel.stored import bundle_folder, results_folder
    from smoe.schema.bundle import describe_bundle

    side = kept_side(keep)
    parts = [bundle_folder(named, results) for named in (first, second)]
    name = into or describe_bundle(parts[0])["study"]["name"]
    folder = results_folder(results, name)
    merged = merge_bundles(parts[0], parts[1], folder, keep=side, mixed=mixed)
    for each in merged.contested:
        say(f"Different in both, kept from the {side}: {each}")
    if merged.aside:
        say(f"The earlier bundle of {folder} is kept in {merged.aside}.")
    say(f"{folder}: {merged.runs} runs, {merged.shared} of them in both.")
    say(f"Tables   python run_all.py report --study {shlex.quote(name)}")


@app.command(help=help_of("archive"), epilog=examples("results archive"))
def archive(
    study: options.Bundle = "quick",
    to: options.To = None,
    results: options.Results = RESULTS,
) -> None:
    """Pack a bundle, its tables and its figures into one file."""
    from ablations.travel.archive import archive as write_archive
    from ablations.travel.stored import bundle_folder
    from smoe.schema.digests import digest

    folder = bundle_folder(study, results)
    target = to or Path(f"{folder.resolve().name}.tar")
    manifest = write_archive(folder, target)
    say(f"{target}: {manifest['runs']} runs, {len(manifest['files'])} files.")
    say(f"sha256   {digest(target.read_bytes())}")


@app.command(help=help_of("unpack"), epilog=examples("results unpack"))
def unpack(
    file: options.Archive,
    into: options.Into = None,
    results: options.Results = RESULTS,
) -> None:
    """Unpack what `results archive` has written."""
    from ablations.travel.unpack import unpack as unpack_archive

    folder, written = unpack_archive(file, results, into)
    say(f"{folder}: every file is as its manifest says" + ("." if written else "; it was there."))
    if written:
        say(f"Report   python run_all.py report --study {shlex.quote(folder.name)}")


def _console(context: typer.Context) -> PlainConsole:
    console = PlainConsole()
    console.quiet = bool(context.find_root().params.get("quiet"))
    return console


def _here(device: str) -> tuple[str, str]:
    from ablations.execution.runner import git_commit
    from ablations.execution.worker import device_name

    return device_name(device), git_commit()
