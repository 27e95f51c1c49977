"""Writes `quick_durations.csv`: what the runs of a real quick study took, second by second.

Seconds to get ready and to score are those of a study that has just been run, by its logs; seconds
of training are those of the stored bundle, and the others are put in proportion to them. Where a
run had not ended yet, it takes as long to get ready and to score as the others, per unit of work.

    python -m tests.ablations.runs.quick_durations RESULTS
"""

import json
import re
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd

from ablations.runs.plan import plan
from ablations.studies.grid import UNPROCESSED
from ablations.studies.study import load_study
from tests.ablations.conftest import ROOT

TIME = r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})"
LINE = re.compile(TIME + " (started|training|scoring)", re.MULTILINE)


def recorded(folder: Path) -> dict[str, float]:
    """Seconds from the start to the first training step, of training, and of scoring."""
    when: dict[str, list[float]] = {"started": [], "training": [], "scoring": []}
    for time, what in LINE.findall((folder / "log.txt").read_text(encoding="utf-8")):
        when[what].append(datetime.strptime(time, "%Y-%m-%d %H:%M:%S,%f").timestamp())
    begun, done = when["started"][0], (folder / "done").stat().st_mtime
    trained = json.loads((folder / "run.json").read_text(encoding="utf-8"))["train_s"] or 0.0
    scoring = when["scoring"][0] if when["scoring"] else begun
    return {"start_s": scoring - begun - trained, "train_s": trained, "scoring_s": done - scoring}


def main(results: Path) -> None:
    """Write the table beside this file."""
    bundle = pd.read_parquet(ROOT / "results" / "quick" / "runs.parquet").set_index("cell")
    found = {
        json.loads((done.parent / "config.json").read_text())["cell"]: recorded(done.parent)
        for done in results.glob(".runs/*/*/done")
    }
    slowness = {c: each["train_s"] / bundle["train_s"][c] for c, each in found.items()}
    slowness[UNPROCESSED] = min(s for c, s in slowness.items() if c != UNPROCESSED)
    loads = {run.cell: run.load for run in plan(load_study("quick"), results)}
    starts = [each["start_s"] / slowness[c] for c, each in found.items() if c != UNPROCESSED]
    scored = {c: each["scoring_s"] / slowness[c] / loads[c].scored for c, each in found.items()}
    mean = sum(v for c, v in scored.items() if c != UNPROCESSED) / (len(scored) - 1)
    rows = [
        {
            "cell": cell,
            "start_s": 0.0 if cell == UNPROCESSED else sum(starts) / len(starts),
            "train_s": 0.0 if cell == UNPROCESSED else bundle["train_s"][cell],
            "scoring_s": scored.get(cell, mean) * load.scored,
        }
        for cell, load in loads.items()
    ]
    pd.DataFrame(rows).round(2).to_csv(Path(__file__).with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
