"""Scores of the embedded corpus's unprocessed test set, stored once to be compared with for ever.

`python -m tests.smoe.golden_metrics` writes `golden_metrics.csv` anew; do so only after a wanted
change of the corpus or of the metrics, and say why in the change's message.
"""

import csv
import tempfile
from pathlib import Path

from smoe.config import TestSetConfig
from smoe.corpora import Corpus, open_corpus
from smoe.evaluation.evaluate import evaluate_unprocessed
from smoe.metrics import METRICS
from smoe.mixtures.test_set import test_set

GOLDEN = Path(__file__).with_suffix(".csv")
CONFIG = TestSetConfig(crop_s=2.0, per_snr=1, clean=1)


def measured(corpus: Corpus) -> list[dict[str, str]]:
    """Rows of the table: utterance and its scores, empty where a metric is not defined."""
    rows = evaluate_unprocessed(test_set(corpus, CONFIG)).utterances
    return [
        {"utterance": row["utterance"]}
        | {name: "" if row[name] is None else f"{row[name]:.5f}" for name in METRICS}
        for row in rows
    ]


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as cache, GOLDEN.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["utterance", *METRICS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(measured(open_corpus("synthetic:tiny", Path(cache))))


if __name__ == "__main__":
    main()
