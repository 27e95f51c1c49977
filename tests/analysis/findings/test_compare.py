"""What a study declares and what is concluded: margins, families, seeds, the words of verdicts."""

import numpy as np
import pytest

from analysis.bundle.load import BundleError, load_bundle
from analysis.bundle.verdict_rules import DEFAULTS, verdict_rules
from analysis.findings import captions
from analysis.findings.answer import answer
from analysis.findings.compare import TOO_FEW_SEEDS, dense_gain, differences_to, judge
from analysis.findings.power import planned_seeds, seeds_sentence
from analysis.tables.factorial import factorial_table
from analysis.tables.main import main_table, placement_table
from analysis.tables.variance import variance_table
from tests.analysis.simulate import CORE, FULL, Plan, edit, edit_study, write_bundle

SECTION = {
    "primary": "stoi", "margins": {"stoi": 0.02, "si_sdr_db": 1}, "reason": "Heard  so.",
    "family": "table", "alpha": 0.1,
}  # fmt: skip


def bundle_of(folder, cells=("dense", FULL), seeds=(0, 1, 2), **plan):
    return load_bundle(write_bundle(folder / "study", Plan(list(cells), seeds, 12, **plan)))


def test_a_declared_section_is_read():
    rules = verdict_rules({"verdict": SECTION})
    assert (rules.primary, rules.family, rules.alpha) == ("stoi", "table", 0.1)
    assert rules.declared
    assert rules.margins == {"stoi": 0.02, "si_sdr_db": 1.0}
    assert rules.sentence() == (
        "Primary endpoint: STOI. Margins declared in the study file. Heard so."
    )


def test_an_old_bundle_gets_defaults_and_says_so(small):
    assert small.rules == DEFAULTS
    notes = " ".join(main_table(small).notes)
    assert "±0.02 PESQ-WB (22 % of gain)" in notes
    assert "Margins not declared by this study" in notes
    assert "exploratory" in notes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"primary": "mos"}, "unknown metric mos"),
        ({"margins": {"stoi": 0}}, "not above zero"),
        ({"margins": 0.1}, "cannot be read"),
        ({"family": "study"}, "unknown family"),
        ({"alpha": 0.7}, "impossible alpha"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(folder, change, said):
    edit_study(folder, verdict=SECTION | change)
    with pytest.raises(BundleError, match=said):
        load_bundle(folder)


def test_tables_follow_the_declared_endpoint(tmp_path):
    bundle = bundle_of(tmp_path, verdict=SECTION)
    table = placement_table(bundle)
    assert [c.header for c in table.columns if c.header.startswith("verdict ")] == [
        "verdict PESQ-WB", "verdict ESTOI", "verdict SI-SDR",
    ]  # fmt: skip
    text = " ".join(table.notes)
    assert "Primary endpoint: STOI" in text
    assert "no margin for PESQ-WB" in text
    assert "Holm over all rows of the table" in text and "10 %" in text


def test_families_are_joined_where_the_whole_table_is_one(tmp_path):
    cells = ["dense", "dense-macs", FULL]
    for family, size in (("group", 1), ("table", 2)):
        bundle = bundle_of(tmp_path / family, cells, verdict=SECTION | {"family": family})
        pairs = differences_to(bundle, cells[1:], ["dense"] * 2, "stoi")
        judged = judge(bundle, pairs, "stoi", families=["a", "b"])
        assert [c.n_family for c in judged] == [size] * 2


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_fewer_than_three_seeds_decide_nothing(tmp_path, seeds):
    bundle = bundle_of(tmp_path, seeds=seeds, effect=lambda cell: 0.5 * (cell == FULL))
    pair = differences_to(bundle, [FULL], ["dense"], "pesq_wb")
    assert judge(bundle, pair, "pesq_wb")[0].verdict == TOO_FEW_SEEDS
    table = main_table(bundle)
    assert not any("better" in str(v) or "worse" in str(v) for r in table.rows for v in r.values)
    p_holm = [column.key for column in table.columns].index("p_holm")
    assert [str(r.values[p_holm]) for r in table.rows if r.values[0] != "Dense"] == ["–"] * 8
    assert any("No verdict is given with fewer than 3 seeds" in note for note in table.notes)
    assert all(table.notes)
    assert any("nothing is decided" in sentence for sentence in answer(bundle))


def test_a_verdict_of_equivalence_says_the_share_of_the_gain(tmp_path):
    seeds = tuple(range(6))
    bundle = bundle_of(
        tmp_path, seeds=seeds, effect=lambda _: 0.0, seed_sd=0.001, rest_sd=0.005,
        verdict=SECTION | {"margins": {"pesq_wb": 0.05}},
    )  # fmt: skip
    found = judge(bundle, differences_to(bundle, [FULL], ["dense"], "pesq_wb"), "pesq_wb")[0]
    share = f"{0.05 / dense_gain(bundle, 'pesq_wb') * 100:.0f} % of gain"
    assert found.verdict == "equivalent"
    assert found.verdict_text == f"equivalent ({share})"
    assert any(f"±0.05 PESQ-WB ({share})" in note for note in main_table(bundle).notes)


def test_without_an_input_the_share_is_not_known(tmp_path):
    from tests.analysis.simulate import drop_runs

    bundle_of(tmp_path, seed_sd=0.0005, rest_sd=0.003, effect=lambda _: 0.0)
    drop_runs(tmp_path / "study", ["unprocessed-0"])
    bundle = load_bundle(tmp_path / "study")
    pair = differences_to(bundle, [FULL], ["dense"], "pesq_wb")
    assert judge(bundle, pair, "pesq_wb")[0].verdict_text == "equivalent (dense gain not known)"


def test_what_a_seed_does_to_all_late_decoders_is_no_certainty(tmp_path):
    """Sixteen cells repeat the same three draws: the effect is not decided by their number."""
    bundle = bundle_of(
        tmp_path, CORE, late_seed_sd=0.03, seed_sd=0.003, rest_sd=0.005, effect=lambda _: 0.0
    )
    effects = factorial_table(bundle)
    late = [r for r in effects.rows if r.values[0] == "late decoder"]
    assert [r.values[3] for r in late] == ["undecided"] * 2
    assert min(r.values[1].half for r in late) > 0.02


def test_rooms_widen_intervals_where_the_bundle_names_them(tmp_path):
    widths = {}
    for named in (True, False):
        plan = Plan(["dense", FULL], (0, 1, 2), 30, room_sd=0.2, seed_sd=0.001, clusters=True)
        folder = write_bundle(tmp_path / str(named), plan)
        if not named:
            columns = ["speaker", "noise", "noise_type", "room"]
            edit(folder, "utterances.parquet", lambda f, gone=columns: f.drop(columns=gone))
        bundle = load_bundle(folder)
        reverb = bundle.sample(FULL, "pesq_wb").restrict(bundle.in_conditions(("reverb",)))
        widths[named] = float(reverb.mean().half_width)
        said = captions.clusters(bundle)
        assert ("does not store speakers, noises and rooms" in said) is not named
        assert ("room (5)" in said) is named
    assert widths[True] > 1.5 * widths[False]


def test_rooms_of_an_old_bundle_are_told_apart_by_their_rt60(tmp_path):
    folder = write_bundle(tmp_path / "old", Plan(["dense"], (0, 1, 2), 12, clusters=False))

    def four_rooms(frame):
        return frame.assign(rt60_s=(frame["rt60_s"] * 5).round() / 5)

    edit(folder, "utterances.parquet", four_rooms)
    bundle = load_bundle(folder)
    assert list(bundle.test_set.cluster_members) == ["room"]
    assert "rooms are told apart by their RT60" in captions.clusters(bundle)


def test_noise_type_may_be_absent_and_one_column_may_stand_alone(folder):
    edit(folder, "utterances.parquet", lambda f: f.drop(columns=["noise_type", "speaker"]))
    bundle = load_bundle(folder)
    assert set(bundle.test_set.cluster_members) <= {"noise", "room"}
    assert "does not store speakers;" in captions.clusters(bundle)


def test_power_says_how_many_seeds_a_difference_needs(tmp_path):
    bundle = bundle_of(tmp_path, CORE, late_seed_sd=0.01, seed_sd=0.004, rest_sd=0.01)
    sentences = planned_seeds(bundle)
    assert sentences[0].startswith("Cells without late decoder: A difference of 0.02 PESQ-WB needs")
    needed = [int(s.split(" needs ")[1].split()[0]) for s in sentences[:2]]
    assert needed[1] > needed[0] >= 3
    notes = " ".join(placement_table(bundle).notes)
    assert "after Holm over 31 (80 % power)" in notes


def test_one_seed_says_nothing_of_power(tmp_path):
    bundle = bundle_of(tmp_path, seeds=(0,))
    assert planned_seeds(bundle) == []
    assert seeds_sentence([], "stoi", 0.1) == ""


def test_variance_table_recovers_planted_components(tmp_path):
    bundle = bundle_of(
        tmp_path, ["dense", "--B--.multi.supervised.global", FULL], seeds=tuple(range(60)),
        late_seed_sd=0.02, seed_sd=0.008, rest_sd=0.03,
    )  # fmt: skip
    rows = {(r.group, r.values[0]): r.values[1].value for r in variance_table(bundle).rows[2:]}
    training, group = "training (seed × placement)", "difference to dense, "
    other = rows[f"{group}no late decoder", training]
    late = rows[f"{group}late decoder", training]
    assert other == pytest.approx(0.008 * np.sqrt(2), rel=0.25)
    assert late == pytest.approx(np.hypot(0.02, 0.008 * np.sqrt(2)), rel=0.25)
    rest = rows[f"{group}late decoder", "seed × utterance (rest)"]
    assert rest == pytest.approx(0.03 * np.sqrt(2), rel=0.1)


def test_variance_table_prints_what_rounding_was_measured(folder):
    assert "not measured" in variance_table(load_bundle(folder)).rows[1].values[0]
    edit_study(folder, rounding={"pesq_wb": 0.005})
    row = variance_table(load_bundle(folder)).rows[1]
    assert row.values[1].value == 0.005 and row.values[2] == "–"
