"""Tables and the figure of what the network costs, from `results/bench/*.json`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import figures as style
from analysis.load import BundleError
from analysis.render import FORMATS, Column, Entry, Row, Table

SCHEMA_VERSION = 1
_SIDES = {
    "reference": ("literal, float32", style.BLACK, "o"),
    "fast_float32": ("float32", style.BLUE, "s"),
    "fast_bfloat16": ("bfloat16", style.VERMILION, "D"),
    "single_float32": ("single-expert, float32", style.GREEN, "^"),
}
_AXES = {
    "width": "channels of the first level",
    "batch": "signals per batch",
    "length_s": "length of a signal (s)",
}
_QUANTITIES = {"sweep_step": "training step (s)", "sweep_inference": "inference (s)"}
_COLUMNS = [
    Column("Measured", "measured", numeric=False),
    Column("Against", "against", numeric=False),
    Column("median (ms)", "median_ms"),
    Column("against (ms)", "against_ms"),
    Column("ratio", "ratio"),
    Column("quartiles", "quartiles", numeric=False),
    Column("ratio of CPU time", "cpu_ratio"),
]
Record = dict[str, Any]


def report_bench(folder: Path) -> list[Path]:
    """Writes the table of each machine and its figure next to the measurements.

    Args:
        folder: Where `bench` has written one JSON file per machine.

    Returns:
        The files written.

    Raises:
        BundleError: there is no measurement, or a file is damaged or of another version.
    """
    sources = sorted(folder.glob("*.json"))
    if not sources:
        raise BundleError(f"{folder} holds no measurement; run `run_all.py bench` first.")
    written = []
    for source in sources:
        content = _read(source)
        table = speed_table(content)
        for suffix, form in FORMATS.items():
            path = source.with_suffix(f".{suffix}")
            path.write_text(form(table), encoding="utf-8", newline="\n")
            written.append(path)
        path = source.with_suffix(".png")
        with style.house_style():
            style.save(draw_sweeps(content), path)
        written.append(path)
    return written


def _read(path: Path) -> Record:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is damaged; measure again with `run_all.py bench`.") from error
    if version != SCHEMA_VERSION:
        raise BundleError(f"{path} has version {version}, not {SCHEMA_VERSION}; measure again.")
    return content


def speed_table(content: Record) -> Table:
    """Headline times of one machine: each side of a measurement against its baseline."""
    rows = [row for record in content["measurements"] for row in _rows(record)]
    machine = content["gpu"] or content["cpu"]
    caption = (
        f"Measured on {machine} with {content['threads']} threads and torch "
        f"{content['versions']['torch']}, the sides in turn in one process. Ratio: median over "
        "rounds of the ratio within a round; the literal network computes in float32 throughout."
    )
    notes = [note for record in content["measurements"] for note in _notes(record)]
    notes += _floor_notes(content["measurements"])
    if content["quick"]:
        notes.append("Tiny sizes and few rounds: a trial of the benchmark, not a result.")
    return Table("bench", "Speed", caption, _COLUMNS, rows, notes)


def _rows(record: Record) -> list[Row]:
    times, what = record["times"], record["what"]
    size = f"width {record['width']}, batch {record['batch']}, {record['length_s']:g} s"
    if what == "step":
        group = f"Training step, {record['mode']}-expert; {size}"
        return [_row(times, s, "reference", group) for s in ("fast_float32", "fast_bfloat16")]
    if what == "inference":
        group = f"Inference; {size}"
        rows = [_row(times, s, "reference", group) for s in ("fast_float32", "fast_bfloat16")]
        return [*rows, _row(times, "single_float32", "fast_float32", group)]
    if what in ("loss", "metrics"):
        group = f"{what.capitalize()}; {size.split(', ', 1)[1]}"
        return [_row(times, side, None, group) for side in times]
    return []


def _row(times: Record, side: str, baseline: str | None, group: str) -> Row:
    wall = np.array(times[side]["wall_s"])
    name = _SIDES[side][0] if side in _SIDES else side
    if baseline is None:
        missing = [Entry(np.nan), Entry(np.nan), "–", Entry(np.nan)]
        return Row([name, "–", Entry(float(np.median(wall)) * 1e3, decimals=1), *missing], group)
    against = np.array(times[baseline]["wall_s"])
    ratios = against / wall
    low, high = np.quantile(ratios, [0.25, 0.75])
    cpu_ratios = np.array(times[baseline]["cpu_s"]) / np.array(times[side]["cpu_s"])
    against_name = "multi-expert, float32" if side.startswith("single") else _SIDES[baseline][0]
    return Row(
        [
            name,
            against_name,
            Entry(float(np.median(wall)) * 1e3, decimals=1),
            Entry(float(np.median(against)) * 1e3, decimals=1),
            Entry(float(np.median(ratios)), decimals=2),
            f"{low:.2f} to {high:.2f}",
            Entry(float(np.median(cpu_ratios)), decimals=2),
        ],
        group,
    )


def _notes(record: Record) -> list[str]:
    notes = []
    if record["what"] == "inference":
        seconds = record["batch"] * record["length_s"]
        factors = [
            f"{label} {np.median(record['times'][side]['wall_s']) / seconds:.4f}"
            for side, (label, *_) in _SIDES.items()
        ]
        notes.append(
            f"Real-time factor at batch {record['batch']} (seconds of computing per second of "
            f"audio): {', '.join(factors)}."
        )
    if record["what"] == "memory":
        kept = {side: record[f"{side}_activation_bytes"] / 2**20 for side in ("fast", "reference")}
        notes.append(
            f"Activations kept for the backward pass (float32): {kept['fast']:.0f} MiB, literal "
            f"{kept['reference']:.0f} MiB."
        )
        for precision in ("float32", "bfloat16"):
            moved = record[f"fast_{precision}_traffic"]
            share = moved["layout_bytes"] / moved["all_bytes"]
            notes.append(
                f"Of the bytes that the operators of a {precision} step read and write, "
                f"{share:.1%} are copies (cat, stack, clone, copy)."
            )
    return notes


def _floor_notes(measurements: list[Record]) -> list[str]:
    """The machine's rates, and how near to them the headline training step comes."""
    found = [record for record in measurements if record["what"] == "floors"]
    steps = [r for r in measurements if r["what"] == "step" and r["mode"] == "multi"]
    notes = []
    for record, measured in zip(found, steps, strict=False):
        rates = record["matmul_flops_per_s"]
        product = ", ".join(f"{_si(rate)}FLOP/s in {name}" for name, rate in rates.items())
        copy = _si(record["copy_bytes_per_s"])
        notes.append(f"Floors measured here: large matrix product {product}; copy {copy}B/s.")
        for precision, rate in rates.items():
            work = record[f"fast_{precision}_flops"]
            reached = work / np.median(measured["times"][f"fast_{precision}"]["wall_s"])
            spent = record[f"fast_{precision}_profile_s"]
            shares = [f"{name} {s / sum(spent.values()):.0%}" for name, s in spent.items()]
            notes.append(
                f"A multi-expert training step in {precision} computes {_si(work)}FLOP at "
                f"{_si(reached)}FLOP/s, {reached / rate:.0%} of the product's rate. Where its time "
                f"goes: {', '.join(shares)}."
            )
    return notes


def _si(value: float) -> str:
    """Three digits and the prefix of a unit: 5.29e10 becomes "52.9 G"."""
    power = min(4, int(np.log10(value) // 3))
    return f"{value / 1000**power:.3g} {' kMGT'[power]}".replace("  ", " ")


def draw_sweeps(content: Record) -> Figure:
    """Time of a training step and of inference against width, batch and length."""
    figure = style.new_figure(style.DOUBLE_COLUMN_IN, 3.6)
    grid = figure.subplots(len(_QUANTITIES), len(_AXES), sharey="row", squeeze=False)
    for row, (what, label) in zip(grid, _QUANTITIES.items(), strict=True):
        records = [r for r in content["measurements"] if r["what"] == what]
        for axes, axis in zip(row, _AXES, strict=True):
            _draw_sweep(axes, records, axis)
        row[0].set_ylabel(label)
    for axes, title in zip(grid[-1], _AXES.values(), strict=True):
        axes.set_xlabel(title)
    handles, labels = grid[-1][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
    return figure


def _draw_sweep(axes: Axes, records: list[Record], axis: str) -> None:
    """One quantity along one axis: medians with their range; the other axes at their base size."""
    others = [a for a in _AXES if a != axis]
    base = [_most_common([r[a] for r in records]) for a in others]
    line = sorted((r for r in records if [r[a] for a in others] == base), key=lambda r: r[axis])
    for side, (label, colour, marker) in _SIDES.items():
        walls = [np.array(r["times"][side]["wall_s"]) for r in line if side in r["times"]]
        if not walls:
            continue
        middle = np.array([np.median(w) for w in walls])
        low, high = np.array([w.min() for w in walls]), np.array([w.max() for w in walls])
        axes.errorbar(
            [r[axis] for r in line], middle, [middle - low, high - middle], label=label,
            color=colour, marker=marker, markersize=3.5, capsize=1.5,
        )  # fmt: skip
    values = [r[axis] for r in line]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(values, [f"{v:g}" for v in values])
    axes.minorticks_off()
    style.light_grid(axes, "y")


def _most_common(values: list[float]) -> float:
    return max(set(values), key=values.count)
