"""Parts of the test set, and the tables that look at them apart."""

import numpy as np
import pytest

from analysis.bundle import conditions
from analysis.bundle import vocabulary as words
from analysis.bundle.load import load_bundle
from analysis.tables import mapping
from analysis.tables.agreement import agreement_table, contradict
from analysis.tables.conditions import condition_tables
from analysis.tables.main import main_table, placement_table
from analysis.tables.router import specialisation_table
from smoe.config import RT60_BANDS_S
from tests.analysis.simulate import CORE, FULL, Plan, edit, write_bundle


def column(table, key):
    return [c.key for c in table.columns].index(key)


def test_bands_of_rt60_are_those_of_the_engine():
    assert words.RT60_BANDS_S == RT60_BANDS_S


def test_parts_hold_every_utterance_that_they_speak_of_once(small):
    frame = small.utterances
    for parts, known in (
        (conditions.by_condition(small), np.ones(len(frame), bool)),
        (conditions.by_snr(small), frame["snr_db"].notna()),
        (conditions.by_rt60(small), frame["rt60_s"].notna()),
        (conditions.by_noise_type(small), frame["noise_type"].notna()),
    ):
        assert len(parts) > 1
        assert np.array_equal(sum(mask.astype(int) for mask in parts.values()), known.astype(int))


def test_many_snrs_become_bands(folder):
    def spread(frame):
        number = frame["utterance"].str[-3:].astype(float)
        return frame.assign(snr_db=(number * 1.7 - 6).where(frame["snr_db"].notna()))

    edit(folder, "utterances.parquet", spread)
    bundle = load_bundle(folder)
    parts = conditions.by_snr(bundle)
    assert list(parts)[:2] == ["SNR −10 to −5 dB", "SNR −5 to 0 dB"]
    low = bundle.utterances["snr_db"][parts["SNR −5 to 0 dB"]]
    assert low.min() >= -5 and low.max() < 0


def test_table_10_is_the_plain_mean_of_a_part(small):
    table = condition_tables(small)[0]
    entry = next(r for r in table.rows if r.group == "SNR 5 dB (N = 4)" and r.values[0] == "Dense")
    mask = (small.utterances["snr_db"] == 5).to_numpy()
    expected = small.sample("dense", "stoi").scores[:, mask].mean()
    assert entry.values[column(table, "stoi")].value == pytest.approx(expected)


def test_an_empty_band_of_rt60_is_named(folder):
    edit(folder, "utterances.parquet", lambda f: f.assign(rt60_s=f["rt60_s"].clip(lower=0.5)))
    bundle = load_bundle(folder)
    assert list(conditions.by_rt60(bundle)) == ["RT60 0.4 to 0.8 s", "RT60 from 0.8 s"]
    assert "No test utterance: RT60 0 to 0.4 s." in condition_tables(bundle)[1].notes


def test_an_effect_at_one_snr_shows_at_that_snr_alone(folder):
    def harm(frame):
        hit = frame["run_id"].str.startswith("dense-macs") & (frame["snr_db"] == -5)
        return frame.assign(pesq_wb=frame["pesq_wb"] - 0.4 * hit)

    edit(folder, "utterances.parquet", harm)
    table = condition_tables(load_bundle(folder))[0]
    at = column(table, "difference_pesq_wb")
    found = {r.group: r.values[at] for r in table.rows if "MACs" in str(r.values[0])}
    low = found.pop("SNR −5 dB (N = 6)")
    assert low.value == pytest.approx(-0.4, abs=0.1) and low.mark == "*"
    assert all(abs(entry.value) < 0.1 and not entry.mark for entry in found.values())


def test_a_bundle_without_types_of_noise_says_so(folder):
    edit(folder, "utterances.parquet", lambda f: f.drop(columns=["noise_type"]))
    table = condition_tables(load_bundle(folder))[2]
    assert not table.rows
    assert table.notes == ["This bundle does not store the type of noise of its test utterances."]


def test_harm_to_clean_speech_has_a_verdict_of_its_own(folder):
    def harm(frame):
        hit = frame["run_id"].str.startswith(FULL) & (frame["condition"] == "clean")
        return frame.assign(pesq_wb=frame["pesq_wb"] - 0.5 * hit)

    edit(folder, "utterances.parquet", harm)
    bundle = load_bundle(folder)
    for table in (main_table(bundle), placement_table(bundle)):
        row = next(r for r in table.rows if "EMBDL" in str(r.values[0]))
        assert row.values[column(table, "difference_to_dense_clean")].value < -0.3
        assert row.values[column(table, "verdict_clean")] == "worse"
        assert row.values[column(table, "verdict")] == "better"


def test_without_clean_speech_there_is_no_column_for_it(tmp_path):
    bundle = load_bundle(write_bundle(tmp_path / "no", Plan(["dense", FULL], (0, 1, 2), 6, 0)))
    for table in (main_table(bundle), placement_table(bundle)):
        assert not any("clean" in c.header for c in table.columns)


def test_agreement_counts_verdicts_and_names_contradictions(tmp_path):
    plan = Plan(CORE, (0, 1, 2, 3), 30, seed_sd=0.001, rest_sd=0.005, effect=effects_of_late)
    folder = write_bundle(tmp_path / "core", plan)

    def turn(frame):
        hit = frame["run_id"].str.startswith("----L.") & (frame["condition"] != "clean")
        return frame.assign(stoi=frame["stoi"] + 0.2 * hit)

    edit(folder, "utterances.parquet", turn)
    table = agreement_table(load_bundle(folder))
    said = {str(r.values[0]): r.values[-1] for r in table.rows if len(str(r.values[0])) == 5}
    assert said["----L"] == "contradiction"
    assert said["EMBDL"] == "all agree"
    assert table.notes[0].endswith("contradictions: ----L.")
    assert "same verdict on 30 and are undecided on 0" in table.notes[0]
    pairs = {str(r.values[0]): r.values for r in table.rows[-4:]}
    assert pairs["ESTOI"][column(table, "verdict_si_sdr_db")] == "31 of 31"
    assert pairs["STOI"][column(table, "verdict_estoi")] == "30 of 31"


def effects_of_late(cell):
    return (-0.2 if cell.split(".")[0].endswith("L") else 0.2) if "." in cell else 0.0


def test_only_opposite_decisions_contradict():
    assert contradict("worse", "better")
    assert not contradict("worse", "undecided") and not contradict("equivalent", "better")


def test_specialisation_stands_in_every_metric(small):
    table = specialisation_table(small)
    row = next(r for r in table.rows if r.group == FULL and r.values[0] == "noise")
    mask = small.in_conditions(("noise",))
    for metric in words.METRICS:
        alone = [small.sample(FULL, metric, k) for k in ("noise-only", "reverb-only")]
        complete = alone[0].complete() & mask
        gap = (alone[0].scores - alone[1].scores)[:, complete].mean()
        at = column(table, f"{metric}_noise_minus_reverb")
        assert row.values[at].value == pytest.approx(gap)


@pytest.mark.parametrize("trained_with", ["paper", "normalized"])
def test_mapping_table_compares_the_same_utterances_under_both(folder, trained_with):
    """Planted: the other mapping gains 0.01 on `both` alone, so a third of it overall."""
    if trained_with == "normalized":
        edit(
            folder, "utterances.parquet",
            lambda f: f.replace({"counterfactual": {"learned-normalized": "learned-paper"}}),
        )  # fmt: skip
    bundle = load_bundle(folder)
    table = mapping.mapping_table(bundle)
    assert "N = 18" in table.caption
    row = next(r for r in table.rows if r.values[0] == FULL)
    assert row.values[1] == trained_with
    paper, normalized, change = (
        row.values[column(table, key)].value
        for key in (
            "difference_to_dense_paper", "difference_to_dense_normalized", "normalized_minus_paper"
        )
    )  # fmt: skip
    assert change == pytest.approx(normalized - paper)
    sign = 1 if trained_with == "paper" else -1
    assert change == pytest.approx(sign * 0.01 / 3, abs=0.004)


def test_a_bundle_without_the_other_mapping_says_so(folder):
    edit(
        folder, "utterances.parquet",
        lambda f: f[f["counterfactual"].astype(str) != "learned-normalized"],
    )  # fmt: skip
    table = mapping.mapping_table(load_bundle(folder))
    assert not table.rows
    assert table.notes == ["No network of this bundle was scored under the other mapping."]
