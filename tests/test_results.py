"""The figures that `results/README.md` quotes are those of the tables beside it."""

from pathlib import Path

import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from analysis.compare import judge, noise_kinds
from analysis.load import load_reported
from analysis.samples import difference
from analysis.table_levels import against_dense, variant_name, variants

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
    ("equal MACs", "table2_placements", FULL, "difference_at_equal_macs"),
    ("shuffled labels", "table4_routing", SHUFFLED, "difference_pesq_wb"),
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
    value, half = float(found[column]), float(found[f"{column}_high"]) - float(found[column])
    assert f"{value:+.3f} ± {half:.3f}" in PROSE, what


def test_all_placements_are_undecided_as_said():
    """The page says so of each in `core`, and that none is decided against the dense network."""
    placements = pd.read_csv(RESULTS / "core" / "tables" / "table2_placements.csv")
    others = placements[placements["placement"] != "-----"]
    assert len(others) == 31 and set(others["verdict"]) == {"undecided"}
    assert "all 31 **undecided**" in PROSE


def test_quoted_harm_to_clean_speech():
    placements = pd.read_csv(RESULTS / "core" / "tables" / "table2_placements.csv")
    change = placements["difference_to_dense_clean"].dropna()
    assert len(change) == 31 and change.max() < 0
    assert f"by {-change.max():.2f} to {-change.min():.2f}" in PROSE


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


def test_quoted_specialisation_on_noise():
    """In how many networks the noise expert is ahead on noise, and surely so, by metric."""
    table = pd.read_csv(RESULTS / "core" / "tables" / "table7c_specialisation.csv")
    cells = table["group"].str.contains("multi.supervised.global", regex=False)
    rows = table[cells & (table["condition"] == "noise")]
    ahead = {m: f"{m}_noise_minus_reverb" for m in ("pesq_wb", "stoi", "si_sdr_db")}
    assert (
        len(rows) == (rows[ahead["stoi"]] > 0).sum() == (rows[ahead["si_sdr_db"]] > 0).sum() == 31
    )
    sure = [int((rows[f"{ahead[m]}_low"] > 0).sum()) for m in ("stoi", "si_sdr_db")]
    assert f"above zero in {sure[0]} and {sure[1]}" in PROSE
    assert f"in PESQ-WB in {(rows[ahead['pesq_wb']] > 0).sum()}:" in PROSE
