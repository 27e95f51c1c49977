"""The counterfactual subset is balanced over SNRs and bands of RT60, in every study."""

from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablations.studies.study import available, load_study
from smoe import config as settings
from smoe.config import RT60_BANDS_S
from smoe.mixtures.mixing import Mixture
from smoe.mixtures.subset import DISTORTED, rt60_band, stratified_subset
from smoe.mixtures.test_set import TestSet, _slots

RT60S_S = st.sampled_from([0.2, 0.3, 0.5, 0.79, 0.8, 1.4])
NAN = float("nan")


def made(config: settings.TestSetConfig, rt60s_s: list[float]) -> TestSet:
    """The rows of a test set with given reverberation times, taken in turn; without any sound."""
    slots = _slots(config)
    names, conditions = [slot[0] for slot in slots], [slot[1] for slot in slots]
    wet = [condition in ("reverb", "both") for condition in conditions]
    dry = [condition in ("reverb", "clean") for condition in conditions]
    snr_db = torch.tensor([NAN if d else slot[2] for d, slot in zip(dry, slots, strict=True)])
    rt60_s = torch.tensor([rt60s_s[i % len(rt60s_s)] if w else NAN for i, w in enumerate(wet)])
    nothing = torch.empty(len(slots), 0)
    mixture = Mixture(nothing, nothing, torch.zeros(len(slots)), snr_db, rt60_s)
    unnamed: list[str | None] = [None] * len(slots)
    texts = [""] * len(slots)
    return TestSet(mixture, names, conditions, [0] * len(slots), texts, unnamed, unnamed, unnamed)


def strata(test: TestSet, rows: list[int] | range, condition: str) -> Counter:
    """How many rows of a condition each (SNR, band of RT60) has."""
    snr_db, rt60_s = test.mixture.snr_db.tolist(), test.mixture.rt60_s.tolist()
    return Counter(
        (str(snr_db[row]), rt60_band(rt60_s[row]))
        for row in rows
        if test.condition[row] == condition
    )


def assert_balanced(test: TestSet, per_condition: int) -> None:
    chosen = stratified_subset(test, per_condition)
    assert chosen == sorted(set(chosen))
    for condition in DISTORTED:
        there, taken = (strata(test, r, condition) for r in (range(len(test.condition)), chosen))
        assert taken.total() == min(per_condition, there.total())
        by_snr = Counter()
        for (snr, _), count in taken.items():
            by_snr[snr] += count
        every_snr = {snr for snr, _ in there}
        counts = [by_snr[snr] for snr in every_snr]
        assert max(counts) - min(counts) <= 1
        for snr in every_snr:
            bands = [key for key in there if key[0] == snr]
            most = max(taken[key] for key in bands)
            assert all(taken[key] >= most - 1 or taken[key] == there[key] for key in bands)


@pytest.mark.parametrize("name", available())
@given(rt60s_s=st.lists(RT60S_S, min_size=1, max_size=40))
def test_every_study_has_a_balanced_subset(name: str, rt60s_s: list[float]) -> None:
    config = load_study(name).base("").test
    assert_balanced(made(config, rt60s_s), config.counterfactual_per_condition)


@given(
    snrs_db=st.lists(st.integers(-10, 20), min_size=1, max_size=7, unique=True),
    per_snr=st.integers(1, 30),
    per_condition=st.integers(0, 250),
    rt60s_s=st.lists(RT60S_S, min_size=1, max_size=40),
)
def test_so_has_any_other(
    snrs_db: list[int], per_snr: int, per_condition: int, rt60s_s: list[float]
) -> None:
    config = settings.TestSetConfig(snrs_db=tuple(map(float, snrs_db)), per_snr=per_snr)
    assert_balanced(made(config, rt60s_s), per_condition)


def test_bands_cover_all_reverberation_times() -> None:
    edges = [low_s for low_s, _ in RT60_BANDS_S]
    assert [rt60_band(edge_s) for edge_s in edges] == list(range(len(edges)))
    assert rt60_band(100.0) == len(edges) - 1 and rt60_band(NAN) is None
    pairs = product(RT60_BANDS_S[:-1], RT60_BANDS_S[1:])
    assert any(below[1] == above[0] for below, above in pairs)
