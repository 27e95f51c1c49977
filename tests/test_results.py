"""The figures that `results/README.md` quotes are those of the tables beside it."""

from pathlib import Path

import pandas as pd
import pytest

RESULTS = Path(__file__).parents[1] / "results"
PROSE = " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())
SHAPLEY = {"group": "Placements (multi, supervised, global): Shapley values"}
FULL = {"placement": "EMBDL"}
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


def test_quoted_levels_of_the_budget():
    """Compare the page's rows on `budget` with table 12, verdicts included."""
    rows = pd.read_csv(RESULTS / "budget" / "tables" / "table12_levels.csv")
    mapped = [f"S-MoE {code}{more}" for code in ("EMBDL", "----L") for more in ("", NORMALIZED)]
    for name in ("Dense, equal MACs", "S-MoE EMB--", *mapped):
        cells = [quoted_level(row) for _, row in rows[rows["network"] == name].iterrows()]
        assert len(cells) == 3 and f"| {name} | {' | '.join(cells)} |" in PROSE
    better = rows["verdict_pesq_wb"] == "better"
    assert len(rows) == 33 and better.sum() == 3 and not (rows["verdict_stoi"] == "better").any()


def quoted_level(row: pd.Series) -> str:
    """Return a difference to dense as the page has it, with its verdict where it is decided."""
    half = (row["difference_pesq_wb_high"] - row["difference_pesq_wb_low"]) / 2
    text = f"{row['difference_pesq_wb']:+.3f} ± {half:.3f}".replace("-", "−")
    verdict = row["verdict_pesq_wb"].split(" (")[0]
    return text if verdict == "undecided" else f"{text}, **{verdict}**"


def test_quoted_comparisons_of_the_budget():
    """Compare what the page says of mapping, STOI and clean speech with tables 1 and 7b."""
    main = pd.read_csv(RESULTS / "budget" / "tables" / "table1_main.csv")
    smoe = main[main["network"].str.startswith("S-MoE EMBDL")].set_index("group")
    pesq, stoi = smoe.loc["PESQ-WB (MOS-LQO)"], smoe.loc["STOI"]
    assert pesq["verdict_clean"] == stoi["verdict"] == "worse"
    half = (pesq["difference_to_dense_clean_high"] - pesq["difference_to_dense_clean_low"]) / 2
    assert f"loses {-pesq['difference_to_dense_clean']:.3f} ± {half:.3f} PESQ-WB" in PROSE
    half = (stoi["difference_to_dense_high"] - stoi["difference_to_dense_low"]) / 2
    assert f"STOI, {stoi['difference_to_dense']:.3f} ± {half:.3f}" in PROSE
    forced = (RESULTS / "budget" / "tables" / "table7b_counterfactuals.md").read_text("utf-8")
    assert "+0.026 ± 0.012* |" in forced and "+0.029 ± 0.028 |" in forced
    assert "in STOI, +0.026 ± 0.012, and not in PESQ-WB, +0.029 ± 0.028" in PROSE


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
