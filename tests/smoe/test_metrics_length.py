"""PESQ on long and bursty recordings: a score that is right, or none with a reason, never a crash.

The reference program crashes the whole process, hence the cases run in one of their own.
"""

import json
import subprocess
import sys

import numpy as np
import pydantic
import pytest

from smoe import config
from smoe.config import SAMPLE_RATE
from smoe.metrics import LONGEST_PESQ_S, MetricError, pesq_wb

SCORE = """
import json, sys
import numpy as np
from smoe.metrics import score
for case in json.loads(sys.argv[1]):
    period, speech, seconds = case
    rng = np.random.default_rng(0)
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    clean = 0.3 * rng.standard_normal(len(time_s)) * (time_s % period < speech)
    noisy = clean + 0.05 * rng.standard_normal(len(clean))
    print(json.dumps([case, score(reference=clean, estimate=noisy)]), flush=True)
"""
# As many utterances as fit: 0.2 s of sound and a little more than 0.2 s of silence each.
PAUSES = [(0.408, 0.203), (0.6, 0.35)]
LONGER = [(1.0, 0.5, 60.0), (4.0, 3.8, 180.0)]
Scores = dict[tuple[float, ...], dict]


@pytest.fixture(scope="module")
def scores() -> Scores:
    """Scores by period and length of its speech and of the recording, in seconds."""
    lengths = (LONGEST_PESQ_S, LONGEST_PESQ_S / 2)
    cases = [*((*pause, length) for pause in PAUSES for length in lengths), *LONGER]
    command = [sys.executable, "-c", SCORE, json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {tuple(case): found for case, found in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize(("period", "speech"), PAUSES)
def test_the_longest_recording_is_scored_however_often_it_pauses(
    period: float, speech: float, scores: Scores
) -> None:
    longest = scores[period, speech, LONGEST_PESQ_S]
    shorter = scores[period, speech, LONGEST_PESQ_S / 2]
    assert longest["error"] == ""
    assert longest["pesq_wb"] == pytest.approx(shorter["pesq_wb"], abs=0.15)


@pytest.mark.parametrize("case", LONGER)
def test_longer_ones_have_no_pesq_and_say_why(
    case: tuple[float, float, float], scores: Scores
) -> None:
    found, seconds = scores[case], case[-1]
    assert found["pesq_wb"] is None
    assert found["error"] == f"PESQ: {seconds:.1f} s are too long, it takes 20 s"
    assert found["stoi"] > 0.5
    assert found["si_sdr_db"] > 5


def test_test_crops_are_bounded_by_what_pesq_takes() -> None:
    assert config.TestSetConfig(crop_s=LONGEST_PESQ_S).crop_s == LONGEST_PESQ_S
    with pytest.raises(pydantic.ValidationError, match="less than or equal to 20"):
        config.TestSetConfig(crop_s=LONGEST_PESQ_S + 0.1)
    wave = np.random.default_rng(0).standard_normal(int(LONGEST_PESQ_S * SAMPLE_RATE) + 1)
    with pytest.raises(MetricError, match="too long"):
        pesq_wb(reference=wave, estimate=0.9 * wave)
