"""Tables of what the network costs, from `results/bench/*.json`."""

import json
from pathlib import Path

import numpy as np

from analysis.bench.figures import SIDES, Record, draw_gpu, draw_sweeps, with_floors
from analysis.bundle.load import BundleError
from analysis.figures import style
from analysis.rendering.files import store
from analysis.rendering.forms import MISSING, Column, Entry, Row, Table
from analysis.rendering.table_files import FORMATS

SCHEMA_VERSION = 1
_COLUMNS = [
    Column("Measured", "measured", numeric=False),
    Column("Against", "against", numeric=False),
    Column("median (ms)", "median_ms"),
    Column("against (ms)", "against_ms"),
    Column("ratio", "ratio"),
    Column("quartiles", "quartiles", numeric=False),
    Column("ratio of CPU time", "cpu_ratio"),
]
_GPU_COLUMNS = [*_COLUMNS[:-1], Column("TFLOP/s", "tflops_per_s")]
_SIZE = "width {width}, batch {batch}, {length_s:g} s"
_CAPTION = """Measured on {processor} with {threads} threads and torch {versions[torch]}, the \
sides in turn in one process. {bfloat16} Ratio: median over rounds of the ratio within a round; \
the literal network computes in float32 throughout."""
_GPU_CAPTION = """Measured on {gpu} with torch {versions[torch]}, the sides in turn in one \
process; full S-MoE, both experts. Captured steps are enqueued in a row, then waited for; the \
literal network computes in float32 (convolutions in TF32, PyTorch's default). Ratio: median over \
rounds of that within a round; against a floor the share reached. TFLOP/s counts convolutions and \
matrix products, unpadded, every expert on every sample; the floor of arithmetic is that work at a \
large product's rate in bfloat16. Floor of memory: what complex convolutions read and write, \
forward and backward, in bfloat16 at a copy's rate."""
_TRIAL = ["Tiny sizes and few rounds: a trial of the benchmark, not a result."]


def report_bench(folder: Path) -> list[Path]:
    """Write the table of each machine and its figure next to the measurements.

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
            store(None, path, form(table).encode())
            written.append(path)
        draw = draw_gpu if "plan" in content else draw_sweeps
        with style.house_style():
            style.save(draw(content), source.with_suffix(".png"))
        written.append(source.with_suffix(".png"))
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
    """Make the table of one machine's headline times, each side against its baseline."""
    records, on_gpu = content["measurements"], "plan" in content
    rows = [row for r in records for row in (_gpu_rows if on_gpu else _rows)(r)]
    notes = [note for r in records for note in (_gpu_notes if on_gpu else _notes)(r)]
    notes += ([] if on_gpu else _floor_notes(records)) + _TRIAL * content["quick"]
    caption = (_GPU_CAPTION if on_gpu else _CAPTION).format(**content, **_arithmetic(content))
    return Table("bench", "Speed", caption, _GPU_COLUMNS if on_gpu else _COLUMNS, rows, notes)


def _arithmetic(content: Record) -> dict[str, str]:
    """Return the caption's words on the processor and on its bfloat16, native or emulated.

    Older files do not store `native_bfloat16`; there the processor's name alone says it.
    """
    native = content.get("native_bfloat16", "avx512_bf16" in content["cpu"])
    found = content.get("instructions")
    return {
        "processor": content["cpu"] + (f" ({found})" if found else ""),
        "bfloat16": f"bfloat16 is {'native here' if native else 'emulated here, not native'}.",
    }


def _rows(record: Record) -> list[Row]:
    times, what, size = record["times"], record["what"], _SIZE.format(**record)
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


def _row(
    times: Record, side: str, baseline: str | None, group: str, rate: Entry | None = None
) -> Row:
    """Return the row of a side against its baseline; the last value is a rate or a time ratio.

    The ratio is that of CPU time and stands where no rate is given.
    """
    wall, quartiles = np.array(times[side]["wall_s"]), MISSING
    names = [SIDES.get(s, (s,))[0] if s else MISSING for s in (side, baseline)]
    if side.startswith("single"):
        names[1] = "multi-expert, float32"
    against = ratios = cpu_ratios = np.array([np.nan])
    if baseline is not None:
        against = np.array(times[baseline]["wall_s"])
        ratios = against / wall
        quartiles = "{:.2f} to {:.2f}".format(*np.quantile(ratios, [0.25, 0.75]))
    if baseline is not None and rate is None:
        cpu_ratios = np.array(times[baseline]["cpu_s"]) / np.array(times[side]["cpu_s"])
    medians = [Entry(float(np.median(x)) * 1e3, decimals=1) for x in (wall, against)]
    ratio, cpu_ratio = (Entry(float(np.median(x)), decimals=2) for x in (ratios, cpu_ratios))
    return Row([*names, *medians, ratio, quartiles, rate or cpu_ratio], group)


def _notes(record: Record) -> list[str]:
    if record["what"] == "inference":
        seconds = record["batch"] * record["length_s"]
        factors = [
            f"{label} {np.median(record['times'][side]['wall_s']) / seconds:.4f}"
            for side, (label, *_) in SIDES.items()
            if side in record["times"]
        ]
        return [
            f"Real-time factor, width {record['width']}, batch {record['batch']} "
            f"(seconds of computing per second of audio): {', '.join(factors)}."
        ]
    if record["what"] != "memory":
        return []
    kept = {side: record[f"{side}_activation_bytes"] / 2**20 for side in ("fast", "reference")}
    notes = [
        f"Activations kept for the backward pass (float32): {kept['fast']:.0f} MiB, literal "
        f"{kept['reference']:.0f} MiB."
    ]
    for precision in ("float32", "bfloat16"):
        moved = record[f"fast_{precision}_traffic"]
        share = moved["layout_bytes"] / moved["all_bytes"]
        notes.append(
            f"Of the bytes that the operators of a {precision} step read and write, "
            f"{share:.1%} are copies (cat, stack, clone, copy)."
        )
    return notes


def _rates(record: Record) -> str:
    rates, copy = record["matmul_flops_per_s"], _si(record["copy_bytes_per_s"])
    product = ", ".join(f"{_si(rate)}FLOP/s in {name}" for name, rate in rates.items())
    return f"Floors measured here: large matrix product {product}; copy {copy}B/s."


def _shares(spent: dict[str, float]) -> str:
    return ", ".join(f"{name} {s / sum(spent.values()):.0%}" for name, s in spent.items())


def _floor_notes(measurements: list[Record]) -> list[str]:
    """Return notes on the machine's rates and on how near the training step comes to them."""
    found = [record for record in measurements if record["what"] == "floors"]
    steps = [r for r in measurements if r["what"] == "step" and r["mode"] == "multi"]
    notes = []
    for record, measured in zip(found, steps, strict=False):
        notes.append(_rates(record))
        for precision, rate in record["matmul_flops_per_s"].items():
            work = record[f"fast_{precision}_flops"]
            reached = work / np.median(measured["times"][f"fast_{precision}"]["wall_s"])
            notes.append(
                f"A multi-expert training step in {precision} computes {_si(work)}FLOP at "
                f"{_si(reached)}FLOP/s, {reached / rate:.0%} of the product's rate. Where its time "
                f"goes: {_shares(record[f'fast_{precision}_profile_s'])}."
            )
    return notes


def _gpu_rows(record: Record) -> list[Row]:
    times, size = with_floors(record), _SIZE.format(**record)

    def row(side: str, baseline: str | None, group: str) -> Row:
        rate = record.get("flops", np.nan) / np.median(times[side]["wall_s"]) / 1e12
        return _row(times, side, baseline, f"{group}; {size}", Entry(float(rate), decimals=1))

    if record["what"] == "step" and "captured" in times:
        baselines = [side for side in times if side != "captured"] or [None]
        return [row("captured", baseline, "Training step") for baseline in baselines]
    if record["what"] == "together":
        group = "Networks trained at once, time per network and step"
        return [row(n, "1" if n != "1" else None, group) for n in record["times"]]
    return []


def _gpu_notes(record: Record) -> list[str]:
    size = _SIZE.format(**record)
    notes = [_rates(record)] if "copy_bytes_per_s" in record else []
    if record["what"] == "together" and (prepared := record.get("prepare_s")):
        further = ", ".join(f"{seconds:.2f}" for seconds in prepared[1:]) or "none"
        notes.append(
            f"Seconds from nothing to the first played step ({size}): {prepared[0]:.1f} for the "
            f"first network, with all that had to be compiled; for further ones {further}."
        )
    if spent := record.get("profile_s"):
        title = f"Where a step's {sum(spent.values()) * 1e3:.1f} ms of kernels go"
        notes.append(f"{title} ({size}): {_shares(spent)}.")
    for part, reason in record.get("errors", {}).items():
        notes.append(f"Failed ({record['what']}; {size}), {part}: {reason}")
    return notes


def _si(value: float) -> str:
    """Return a number with three digits and a unit's prefix: 5.29e10 becomes "52.9 G"."""
    power = min(4, int(np.log10(value) // 3))
    return f"{value / 1000**power:.3g} {' kMGT'[power]}".replace("  ", " ")
