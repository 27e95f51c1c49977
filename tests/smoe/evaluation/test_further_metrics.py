"""Further measures against values of their authors' programs, and what must hold of each.

The values come from programs run on the signals made here: `pysepm-evo` 0.1.1, a port of Loizou's,
the function of the URGENT challenges (LSD), and SRMRpy (SRMR).
"""

import numpy as np
import pytest

from smoe.config import SAMPLE_RATE
from smoe.errors import UserError
from smoe.evaluation import composite
from smoe.evaluation.further_metrics import MEASURES, chosen, score_further
from smoe.schema.columns import TABLES
from smoe.schema.measures import FURTHER


def speech_like(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A voice of 30 harmonics in syllables with some noise, and the same with noise and an echo."""
    rng, t = np.random.default_rng(seed), np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * t)) / SAMPLE_RATE
    voiced = sum(np.sin(k * pitch) / k for k in range(1, 30))
    envelope = np.clip(np.sin(2 * np.pi * 3 * t), 0, None) + 0.01
    clean = 0.1 * voiced * envelope + 0.005 * rng.standard_normal(len(t))
    return clean, clean + 0.01 * rng.standard_normal(len(t)) + 0.1 * np.roll(clean, 800)


def test_the_parts_of_the_composite_measures_are_those_of_loizou():
    clean, noisy = speech_like()
    pair = {"reference": clean, "estimate": noisy}
    assert composite.log_likelihood_ratio(**pair) == pytest.approx(0.17470223931, abs=1e-9)
    assert composite.weighted_slope(**pair) == pytest.approx(16.721982978, abs=1e-8)
    assert composite.segmental_snr_db(**pair) == pytest.approx(3.4682067226, abs=1e-9)
    found = composite.composite(**pair, pesq_wb=3.0)
    assert found == pytest.approx((4.5717335489, 3.1694431427, 3.8024985726), abs=1e-9)


def test_fwsegsnr_is_loizous_and_lsd_is_the_one_of_the_urgent_challenges():
    clean, noisy = speech_like()
    assert composite.fwsegsnr_db(reference=clean, estimate=noisy) == pytest.approx(
        15.516679034, abs=1e-8
    )
    found = MEASURES["lsd"].compute(reference=clean, estimate=noisy)
    assert found["lsd"] == pytest.approx(2.0456516424, abs=1e-6)


def test_srmr_is_that_of_its_authors():
    pytest.importorskip("torchmetrics", reason="the extra `metrics` is not installed")
    pytest.importorskip("gammatone", reason="the extra `metrics` is not installed")
    clean, noisy = speech_like()
    found = MEASURES["srmr"].compute(reference=clean, estimate=noisy)
    assert found["srmr"] == pytest.approx(8.7792, abs=2e-3)


@pytest.mark.parametrize("name", list(MEASURES))
def test_a_measure_is_better_for_the_clean_signal_and_within_its_bounds(name: str):
    measure = MEASURES[name]
    if not measure.is_installed:
        pytest.skip("the extra `metrics` is not installed")
    clean, noisy = speech_like()
    near = clean + 0.05 * (noisy - clean)
    better = measure.compute(reference=clean, estimate=near)
    worse = measure.compute(reference=clean, estimate=noisy)
    assert set(better) == set(worse) == set(measure.columns)
    for column in measure.columns:
        bounds = TABLES["utterances.parquet"][column]
        assert bounds.low <= worse[column] <= bounds.high
        if not column.startswith("dnsmos"):  # a network that knows no such voice
            assert FURTHER[column].sign * (better[column] - worse[column]) > 0


def test_a_measure_that_is_not_defined_is_empty_with_a_reason():
    silent = np.zeros(SAMPLE_RATE)
    values = score_further(("lsd", "composite"), reference=silent, estimate=silent)
    assert values["lsd"] is None
    assert values["covl"] is None
    assert values["error"] == "lsd: the reference is silent; composite: the reference is silent"


def test_measures_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch):
    assert chosen("") == ()
    assert {"composite", "lsd", "fwsegsnr"} <= set(chosen("all"))
    assert chosen("lsd, composite") == ("lsd", "composite")
    with pytest.raises(UserError, match="no measure"):
        chosen("mos")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"install the extra.*metrics"):
        chosen("srmr")


def test_every_column_is_in_the_vocabulary_and_in_the_schema():
    columns = [column for measure in MEASURES.values() for column in measure.columns]
    assert sorted(columns) == sorted(FURTHER)
    assert set(columns) <= set(TABLES["utterances.parquet"])
