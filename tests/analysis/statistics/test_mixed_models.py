"""The error model against statsmodels' mixed models (REML), an independent implementation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from analysis.bundle import vocabulary as words
from analysis.bundle.load import load_reported
from analysis.statistics import factorial
from analysis.statistics.clusters import TestSet
from analysis.statistics.intervals import mean_interval
from analysis.statistics.samples import Sample
from analysis.tables.factorial import complete_designs, effect_intervals
from analysis.tables.variance import difference_components

CORE = Path(__file__).parents[3] / "results" / "core"


def fitted(frame, **options):
    """Mixed model of a mean, or of `formula`, by REML."""
    formula = options.pop("formula", "y ~ 1")
    model = smf.mixedlm(formula, frame, **options)
    return model.fit(reml=True, method=["powell", "lbfgs"])


def test_rooms_of_equal_size():
    """One random effect, balanced: the REML variance of the mean in closed form."""
    rng = np.random.default_rng(0)
    rooms = np.arange(84) % 7
    values = 0.5 * rng.normal(size=7)[rooms] + rng.normal(size=84)
    ours = mean_interval(values[None], TestSet(np.zeros(84, dtype=int), {"room": rooms}))
    reference = fitted(pd.DataFrame({"y": values, "room": rooms}), groups="room")
    assert ours.estimate == pytest.approx(reference.params["Intercept"], rel=1e-6)
    assert ours.standard_error == pytest.approx(reference.bse["Intercept"], rel=1e-3)


def test_seeds_crossed_with_utterances():
    rng = np.random.default_rng(1)
    scores = 0.4 * rng.normal(size=(6, 1)) + rng.normal(size=30) + 0.5 * rng.normal(size=(6, 30))
    seed, utterance = np.indices(scores.shape)
    frame = pd.DataFrame({"y": scores.ravel(), "seed": seed.ravel(), "u": utterance.ravel()})
    crossed = {"seed": "0 + C(seed)", "u": "0 + C(u)"}
    reference = fitted(frame.assign(one=1), groups="one", vc_formula=crossed)
    ours = mean_interval(scores)
    assert ours.standard_error == pytest.approx(reference.bse["Intercept"], rel=5e-3)


def test_components_of_a_difference():
    """Seeds, rooms, utterances within rooms and the rest, balanced."""
    rng = np.random.default_rng(2)
    rooms = np.arange(60) % 6
    scores = rng.normal(size=(5, 1)) + rng.normal(size=6)[rooms] + rng.normal(size=60)
    scores = scores + 0.7 * rng.normal(size=(5, 60))
    ours = difference_components(
        Sample(scores, tuple(range(5)), TestSet(np.zeros(60, dtype=int), {"room": rooms}))
    )
    seed, u = np.indices(scores.shape)
    frame = pd.DataFrame({"y": scores.ravel(), "seed": seed.ravel(), "u": u.ravel(), "one": 1})
    frame["room"] = rooms[frame["u"]]
    crossed = {"room": "0 + C(room)", "seed": "0 + C(seed)", "u": "0 + C(u)"}
    reference = fitted(frame, groups="one", vc_formula=crossed)
    variances = dict(zip(sorted(crossed), reference.vcomp, strict=True))
    assert ours["training (seed × placement)"] == pytest.approx(variances["seed"], rel=0.01)
    assert ours["seed × utterance (rest)"] == pytest.approx(reference.scale, rel=0.01)
    assert ours["room"] == pytest.approx(variances["room"], rel=0.02)
    assert ours["utterance"] == pytest.approx(variances["u"], rel=0.02)


def test_two_ways_of_clusters_against_ordinary_least_squares():
    """Multiway robust covariance of a mean without corrections (Cameron, Gelbach, Miller)."""
    rng = np.random.default_rng(3)
    rooms, speakers = rng.integers(0, 15, 400), rng.integers(0, 25, 400)
    values = 0.6 * rng.normal(size=15)[rooms] + 0.5 * rng.normal(size=25)[speakers]
    values = values + rng.normal(size=400)
    test_set = TestSet(np.zeros(400, dtype=int), {"room": rooms, "speaker": speakers})
    reference = sm.OLS(values, np.ones(400)).fit(
        cov_type="cluster", cov_kwds={"groups": np.column_stack([rooms, speakers])}
    )
    ours = mean_interval(values[None], test_set).standard_error
    assert ours == pytest.approx(float(reference.bse[0]), rel=0.05)


@pytest.fixture(scope="module")
def core():
    return load_reported(CORE)


def test_late_decoder_of_core_against_random_slopes(core):
    """The effect's training variance in table 6 is that of a model with a slope per seed."""
    design = complete_designs(core)[0]
    effect = dict(effect_intervals(core, design)["main effects"])["late decoder"]
    assert effect.verdict == "undecided"
    mask = core.in_conditions(words.DISTORTED)
    late = factorial.levels(5)[:, 4]
    rows = [
        {"y": score, "seed": seed, "late": late[cell] - 0.5, "cell": cell}
        for cell, sample in enumerate(design.cells)
        for seed, score in enumerate(sample.scores[:, mask].mean(axis=1))
    ]
    frame = pd.DataFrame(rows)
    frame["y"] -= frame.groupby("cell")["y"].transform("mean")  # cells are fixed
    frame["y"] += effect.interval.estimate * frame["late"]
    reference = fitted(frame, formula="y ~ late", groups="seed", re_formula="~late")
    from_seeds = float(np.sqrt(effect.interval.components[0].variance))
    assert from_seeds == pytest.approx(reference.bse["late"], rel=0.15)
