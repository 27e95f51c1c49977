"""The metrics on the embedded corpus stay what they were when the table was stored."""

import csv

import pytest

from smoe.corpora import Corpus
from tests.smoe.golden_metrics import GOLDEN, measured

# Wide enough for another machine's last bits, narrow enough for another flavour of a metric.
TOLERANCE = {"pesq_wb": 0.005, "stoi": 0.001, "estoi": 0.001, "si_sdr_db": 0.01}


def test_the_unprocessed_test_set_scores_as_stored(tiny_corpus: Corpus) -> None:
    with GOLDEN.open(newline="") as file:
        stored = list(csv.DictReader(file))
    now = measured(tiny_corpus)
    assert [row["utterance"] for row in now] == [row["utterance"] for row in stored]
    for row, golden in zip(now, stored, strict=True):
        for name, tolerance in TOLERANCE.items():
            assert bool(row[name]) == bool(golden[name])
            if golden[name]:
                expected = pytest.approx(float(golden[name]), abs=tolerance)
                assert float(row[name]) == expected, (row["utterance"], name)
