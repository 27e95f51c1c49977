"""The figures that `results/README.md` quotes are those of the tables beside it."""

from pathlib import Path

import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from analysis.bundle.load import load_reported
from analysis.findings.compare import judge, noise_kinds
from analysis.statistics.samples import difference
from analysis.tables.levels import against_dense, variant_name, variants

RESULTS = Path(__file__).parents[1] / "results"
PROSE = " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())
SHAPLEY = {"group": "Placements (multi, supervised, global): Shapley values"}
FULL = {"placement": "EMBDL"}
EMBDL = "EMBDL.multi.supervised.global"
NORMALIZED = ", normalized at test time"
SHUFFLED = {"pairs": "supervised minus shuffled-labels (EMBDL)"}

# What the page says of `core`, and the table, its row and the columns of estimate and upper end.
QUOTED = [
    ("what holds", "table6_factorial", {**SHAPLEY, "factor": "late decoder"}, "effect"),
    ("mid decoder", "table6_factorial", {**SHAPLEY, "factor": "mid decoder"}, "effect"),
    ("bottleneck", "table6_factorial", {**SHAPLEY, "factor": "bottleneck"}, "effect"),
    ("early encoder", "table6_factorial", {**SHAPLEY, "factor": "early encoder"}, "effect"),
    ("equal MACs", "table2_placements", FULL, "difference_at_equal_macs"),
    ("shuffled labels", "table4_routing", SHUFFLED, "difference_pesq_wb"),
    ("shuffled labels, STOI", "table4_routing", SHUFFLED, "difference_stoi"),
]


def rows_of(study: str, table: str, row: dict[str, str]) -> pd.DataFrame:
    rows = pd.read_csv(RESULTS / study / "tables" / f"{table}.csv")
    for name, wanted in row.items():
        named = rows[name].str.replace(r" \(\d of \d seeds\)$", "", regex=True)
        rows = rows[named == wanted]
    return rows


@pytest.mark.parametrize(("what", "table", "row", "column"), QUOTED)
def test_quoted_effects_are_those_of_the_tables(what, table, row, column):
    found = rows_of("core", table, row).iloc[0]
    assert signed(*(found[f"{column}{end}"] for end in ("", "_low", "_high"))) in PROSE, what


def test_all_placements_are_undecided_as_said():
    """The page says so of `core`: against the dense network, and at equal cost."""
    placements = pd.read_csv(RESULTS / "core" / "tables" / "table2_placements.csv")
    others = placements[placements["placement"] != "-----"]
    columns = ["verdict", "verdict_at_equal_macs", "verdict_at_equal_params"]
    assert len(others) == 31 and (others[columns] == "undecided").all(axis=None)
    assert "all 31 **undecided**" in PROSE


def test_quoted_harm_to_clean_speech():
    placements = pd.read_csv(RESULTS / "core" / "tables" / "table2_placements.csv")
    change = placements["difference_to_dense_clean"].dropna()
    assert len(change) == 31 and change.max() < 0
    assert f"by {-change.max():.2f} to {-change.min():.2f}" in PROSE
    clean = placements.set_index("placement")["verdict_clean"].drop("-----")
    assert set(clean) == {"undecided"}
    full = rows_of("core", "table1_main", {"group": "PESQ-WB (MOS-LQO)"})
    full = full[full["network"].str.startswith("S-MoE EMBDL")].iloc[0]
    ends = (f"difference_to_dense_clean{end}" for end in ("", "_low", "_high"))
    assert f"{signed(*full[[*ends]])} against dense, " in PROSE
    assert full["verdict_clean"] == "worse"


def test_quoted_runs_of_core():
    runs = pd.read_parquet(RESULTS / "core" / "runs.parquet")
    trained = runs[runs["cell"] != "unprocessed"]
    counts = trained.groupby("seed").size()
    whole = counts[counts == 39]
    assert list(whole.index) == [0, 1, 2] and f"complete, {whole.sum()} networks" in PROSE
    assert f"{len(trained) - whole.sum()} networks of the seeds 3 and 4" in PROSE
    assert set(trained["git_commit"]) == {"d3f9b9b66b91"}
    assert set(trained["device"]) == {"NVIDIA H200"}


def test_quoted_verdicts_of_the_factors_of_core():
    rows = rows_of("core", "table6_factorial", SHAPLEY).set_index("factor")
    verdict = rows["verdict"].str.split(" (", regex=False).str[0]
    same = ["mid encoder", "bottleneck", "mid decoder"]
    assert (verdict[same] == "equivalent").all()
    assert (verdict[["early encoder", "late decoder"]] == "undecided").all()
    assert rows.loc["early encoder", "effect"] > 0 > rows.loc["late decoder", "effect"]


def test_quoted_mappings_of_core():
    """Which placements the normalized mapping helps, and which it takes above dense."""
    rows = rows_of("core", "table11_mapping", {"group": "PESQ-WB (MOS-LQO)"})
    rows = rows[rows["network"] != "shuffled-labels"].set_index("network")
    rows.index = rows.index.str.removesuffix(".multi.supervised.global")
    assert len(rows) == 31 and set(rows["verdict_paper"]) == {"undecided"}
    assert (rows["normalized_minus_paper"] > 0).all()
    helped = rows.index[rows["verdict"] == "better"]
    assert f"are decided ({', '.join(f'`{code}`' for code in helped)})" in PROSE
    better = rows[rows["verdict_normalized"] == "better"]
    assert list(better.index) == ["EMB-L", "E-BDL"]
    others = pd.read_csv(RESULTS / "core" / "tables" / "table11_mapping.csv")
    others = others[others["group"].isin(["STOI", "SI-SDR (dB)"])]
    assert len(others) == 64 and set(others["verdict_normalized"]) == {"undecided"}
    for code, row in better.iterrows():
        ends = (row[f"difference_to_dense_normalized{end}"] for end in ("", "_low", "_high"))
        assert f"`{code}`, {signed(*ends)}," in PROSE


def test_quoted_loss_of_routing_in_core():
    row = rows_of("core", "table4_routing", {"pairs": "supervised minus uniform (EMBDL)"}).iloc[0]
    ends = (row[f"difference_stoi{end}"] for end in ("", "_low", "_high"))
    assert f"loses {signed(*ends).removeprefix('−')} STOI" in PROSE
    assert row["verdict_stoi"] == "worse"


def test_quoted_power_of_core():
    placements = (RESULTS / "core" / "tables" / "table2_placements.md").read_text("utf-8")
    assert "0.02 PESQ-WB cannot be found after Holm over 31 by more seeds" in placements
    factors = (RESULTS / "core" / "tables" / "table6_factorial.md").read_text("utf-8")
    assert "0.02 PESQ-WB needs 4 seeds" in factors and "main effects need four seeds" in PROSE


@pytest.fixture(scope="module")
def budget():
    return load_reported(RESULTS / "budget")


def signed(estimate: float, low: float, high: float) -> str:
    """Return a difference with half its interval, as the page writes it."""
    return f"{estimate:+.3f} ± {(high - low) / 2:.3f}".replace("-", "−")


def test_quoted_runs_of_the_budget():
    runs = pd.read_parquet(RESULTS / "budget" / "runs.parquet")
    by_commit = runs.loc[runs["cell"] != "unprocessed", "git_commit"].value_counts()
    assert by_commit.sum() == 72 and "three seeds: 72 networks" in PROSE
    assert f"({by_commit['e807387f5f12']} by commit e807387f5f12," in PROSE
    assert f"{by_commit['0a48e680b726']} by 0a48e680b726)" in PROSE


def test_quoted_levels_of_the_budget():
    """Compare the page's rows on `budget` with table 12, verdicts included."""
    rows = pd.read_csv(RESULTS / "budget" / "tables" / "table12_levels.csv")
    mapped = [f"S-MoE {code}{more}" for code in ("EMBDL", "----L") for more in ("", NORMALIZED)]
    quoted = ["Dense, equal MACs", "S-MoE EMB--", *mapped]
    for name in quoted:
        cells = [quoted_level(row) for _, row in rows[rows["network"] == name].iterrows()]
        assert len(cells) == 3 and f"| {name} | {' | '.join(cells)} |" in PROSE
    assert (rows.loc[~rows["network"].isin(quoted), "verdict_pesq_wb"] == "undecided").all()
    better = rows[rows["verdict_pesq_wb"] == "better"]
    assert (len(rows), len(better)) == (33, 3) and "three of 33 differences" in PROSE
    own, normalized = (rows[rows["network"] == f"S-MoE EMBDL{end}"] for end in ("", NORMALIZED))
    gain = normalized["difference_pesq_wb"].to_numpy() - own["difference_pesq_wb"].to_numpy()
    assert len(gain) == 3 and (gain > 0).all()


def quoted_level(row: pd.Series) -> str:
    """Return a difference to dense as the page has it, with its verdict where it is decided."""
    text = signed(*(row[f"difference_pesq_wb{end}"] for end in ("", "_low", "_high")))
    verdict = row["verdict_pesq_wb"].split(" (")[0]
    return text if verdict == "undecided" else f"{text}, **{verdict}**"


def test_one_level_of_the_budget_is_decided_over_all_rows(budget):
    names, p_values = [], []
    for level, part in budget.levels:
        each = variants(part)
        kinds = noise_kinds(part, [cell for cell, _ in each])
        judged = judge(part, against_dense(part, each, "pesq_wb"), "pesq_wb", kinds=kinds)
        names += [(level["train.steps"], variant_name(variant)) for variant in each]
        p_values += [comparison.p for comparison in judged]
    decided = multipletests(p_values, alpha=0.05, method="holm")[0]
    found = [name for name, one in zip(names, decided, strict=True) if one]
    assert found == [(16000, f"S-MoE EMBDL{NORMALIZED}")]


def test_quoted_harm_of_the_budget_to_clean_speech(budget):
    """The change at 4 000 steps is decided, those at the other levels are not."""
    for level, part in budget.levels:
        smoe, dense = part.sample(EMBDL, "pesq_wb"), part.sample("dense", "pesq_wb")
        change = difference(smoe, dense).restrict(part.in_conditions(("clean",)))
        judged = judge(part, [change], "pesq_wb", kinds=None)[0]
        interval = judged.interval
        text = signed(float(interval.estimate), float(interval.low), float(interval.high))
        decided = level["train.steps"] == 4000
        assert text.removeprefix("−" if decided else "") in PROSE
        assert (judged.p < 0.05) == decided


def test_quoted_comparisons_of_the_budget():
    """Compare what the page says of mapping, STOI and clean speech with tables 1, 2 and 7b."""
    main = pd.read_csv(RESULTS / "budget" / "tables" / "table1_main.csv")
    smoe = main[main["network"].str.startswith("S-MoE EMBDL")].set_index("group")
    stoi = smoe.loc["STOI"]
    assert smoe.loc["PESQ-WB (MOS-LQO)", "verdict_clean"] == stoi["verdict"] == "worse"
    change = signed(*(stoi[f"difference_to_dense{end}"] for end in ("", "_low", "_high")))
    assert f"changes STOI by {change}" in PROSE
    placements = pd.read_csv(RESULTS / "budget" / "tables" / "table2_placements.csv")
    full = placements[placements["placement"] == "EMBDL"]
    assert (full["verdict_stoi"] == "undecided").all() and len(full) == 1
    smoe_rows = placements[placements["placement"].isin(["----L", "EMB--", "EMBDL"])]
    at_equal_cost = smoe_rows[["verdict_at_equal_macs", "verdict_at_equal_params"]]
    assert (at_equal_cost == "undecided").all(axis=None) and len(smoe_rows) == 3
    forced = (RESULTS / "budget" / "tables" / "table7b_counterfactuals.md").read_text("utf-8")
    pesq, stoi = (line for line in forced.splitlines() if line.startswith("| EMBDL.multi.s"))
    column = next(line for line in forced.splitlines() if line.startswith("| Network"))
    column = [name.strip() for name in column.split("|")].index("learned-normalized − learned")
    in_pesq, in_stoi = (line.split("|")[column].strip() for line in (pesq, stoi))
    assert in_stoi.endswith("*") and not in_pesq.endswith("*")
    assert f"in STOI, {in_stoi.rstrip('*')}, and not in PESQ-WB, {in_pesq}." in PROSE


def test_quoted_specialisation_of_core():
    """In how many networks each expert is ahead on its own distortion beyond the interval."""
    table = pd.read_csv(RESULTS / "core" / "tables" / "table7c_specialisation.csv")
    table = table[table["group"].str.contains("multi.supervised.global", regex=False)]
    for metric in ("pesq_wb", "stoi", "estoi", "si_sdr_db"):
        noise = table.loc[table["condition"] == "noise", f"{metric}_noise_minus_reverb_low"]
        assert len(noise) == (noise > 0).sum() == 31
        reverb = table.loc[table["condition"] == "reverb", f"{metric}_noise_minus_reverb"]
        assert (reverb < 0).all()
    reverb = table[table["condition"] == "reverb"]
    sure = {m: int((reverb[f"{m}_noise_minus_reverb_high"] < 0).sum()) for m in ("stoi", "pesq_wb")}
    assert sure["stoi"] == 31 and f"in PESQ-WB in {sure['pesq_wb']} beyond" in PROSE


def test_quoted_runs_of_full():
    runs = pd.read_parquet(RESULTS / "full" / "runs.parquet")
    assert f"{(runs['cell'] != 'unprocessed').sum()} of its 759 networks" in PROSE
