"""Router numbers against decisions written by hand, and the planted worth of routing."""

import numpy as np
import pandas as pd
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.load import load_bundle
from analysis.findings import routing
from tests.analysis.simulate import COUNTERFACTUAL, FULL, Plan, edit, write_bundle


@pytest.fixture
def decided(folder):
    """Rewrite the full cell's decisions by a function of the frame; returns the bundle."""

    def rewrite(change):
        def of_full(frame):
            full = frame["run_id"].str.startswith(FULL)
            return pd.concat([frame[~full], change(frame[full].copy())])

        edit(folder, "routing.parquet", of_full)
        return load_bundle(folder)

    return rewrite


def test_accuracy_counts_the_true_class_of_distorted_utterances(decided):
    """Half of each run's predictions right, by construction; clean speech has no class."""

    def half_right(frame):
        order = frame.groupby(["run_id", "true_class"]).cumcount()
        right = frame["true_class"].fillna(0).astype(int)
        return frame.assign(predicted_class=np.where(order % 2, right, (right + 1) % 3))

    summary = routing.summarise_router(decided(half_right), FULL)
    assert summary.accuracy.estimate == pytest.approx(0.5)


def test_a_calibrated_and_an_overconfident_router(decided):
    def sure(frame):
        right = frame["true_class"].fillna(0).astype(int)
        return frame.assign(predicted_class=right, confidence=1.0)

    assert routing.summarise_router(decided(sure), FULL).calibration_error == pytest.approx(0)
    wrong = decided(lambda f: f.assign(predicted_class=(f["predicted_class"] + 1) % 3))
    assert routing.summarise_router(wrong, FULL).calibration_error == pytest.approx(1)


def test_usage_entropy_and_collapse_of_one_expert(decided):
    bundle = decided(lambda f: f.assign(weight_noise=1.0, weight_reverb=0.0))
    summary = routing.summarise_router(bundle, FULL)
    assert summary.usage_noise == dict.fromkeys(words.CONDITIONS, 1.0)
    assert summary.entropy == pytest.approx(0, abs=1e-9)
    assert summary.collapsed


def test_even_weights_are_one_bit_and_no_collapse(decided):
    bundle = decided(lambda f: f.assign(weight_noise=1.0, weight_reverb=1.0))
    summary = routing.summarise_router(bundle, FULL)
    assert summary.entropy == pytest.approx(1)
    assert not summary.collapsed
    assert summary.specialisation.estimate == pytest.approx(0)


def test_specialisation_is_the_difference_between_noise_and_reverb(decided):
    def by_class(frame):
        share = frame["true_class"].map({0: 0.9, 1: 0.3, 2: 0.5}).fillna(0.5)
        return frame.assign(weight_noise=share, weight_reverb=1 - share)

    summary = routing.summarise_router(decided(by_class), FULL)
    assert summary.specialisation.estimate == pytest.approx(0.6)
    assert summary.specialisation.half_width == pytest.approx(0, abs=1e-9)


def test_confusion_rows_are_shares_of_the_true_class(decided):
    def reverb_is_both(frame):
        true = frame["true_class"].fillna(0).astype(int)
        return frame.assign(predicted_class=np.where(true == 1, 2, true))

    shares = routing.confusion(decided(reverb_is_both), FULL)
    assert shares.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_layers_are_averaged_within_an_utterance(tmp_path):
    cell = "EMBDL.multi.supervised.per_layer"
    bundle = load_bundle(write_bundle(tmp_path / "layers", Plan(["dense", cell], per_condition=4)))
    rows = routing.decisions(bundle, cell)
    sample = routing.per_utterance(bundle, rows, rows["weight_noise"])
    one = rows[(rows["seed"] == 1) & (rows["position"] == 3)]
    assert len(one) == 5
    assert sample.scores[1, 3] == pytest.approx(one["weight_noise"].mean())


def test_majority_is_the_largest_class(small):
    assert routing.majority_share(small) == pytest.approx(1 / 3)


def test_oracle_gain_retained_recovers_the_planted_share(tmp_path):
    """Learned lies 0.02 above uniform, the oracle 0.025: four fifths."""
    plan = Plan(["dense", FULL], per_condition=60, counterfactual_per_condition=60, rest_sd=0.01)
    bundle = load_bundle(write_bundle(tmp_path / "oracle", plan))
    samples = routing.counterfactual_samples(bundle, FULL, "pesq_wb")
    retained = routing.oracle_gain_retained(samples)
    planted = -COUNTERFACTUAL["uniform"]["noise"] / (
        COUNTERFACTUAL["oracle"]["noise"] - COUNTERFACTUAL["uniform"]["noise"]
    )
    assert retained.low < planted < retained.high
    assert retained.estimate == pytest.approx(planted, abs=0.05)


def test_a_share_of_no_gain_is_not_reported(small):
    samples = routing.counterfactual_samples(small, FULL, "pesq_wb")
    assert routing.oracle_gain_retained(samples | {"oracle": samples["uniform"]}) is None


def test_counterfactuals_compare_the_same_utterances(small):
    samples = routing.counterfactual_samples(small, FULL, "pesq_wb")
    assert set(samples) == {"learned", *COUNTERFACTUAL}
    assert {s.n_utterances for s in samples.values()} == {18}
    assert routing.counterfactual_samples(small, "dense", "pesq_wb") == {}


def test_decisions_for_a_kind_beyond_noise_and_reverb_leave_their_rows_short(decided):
    """A third expert's classes are no column; half of the noisy utterances name one."""

    def beyond(frame):
        noise = frame.index[frame["true_class"] == 0]
        frame["predicted_class"] = frame["true_class"].fillna(0)
        frame.loc[noise[::2], "predicted_class"] = 4
        return frame

    shares = routing.confusion(decided(beyond), FULL)
    assert shares.shape == (3, 3)
    assert shares[0].sum() == pytest.approx(0.5, abs=0.02)
    assert shares[1:].sum(axis=1) == pytest.approx(1)
