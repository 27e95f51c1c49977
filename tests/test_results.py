"""The figures that `results/README.md` quotes are those of the tables beside it."""

from pathlib import Path

import pandas as pd
import pytest

RESULTS = Path(__file__).parents[1] / "results"
PROSE = " ".join((RESULTS / "README.md").read_text().split())
KINDS = ("noise", "reverb")
FORCED = "table7b_counterfactuals"
PESQ = {"group": "PESQ-WB (MOS-LQO)"}
FULL = {**PESQ, "network": "S-MoE EMBDL, multi, supervised, global"}
MACS = {**PESQ, "network": "Dense, MACs of full S-MoE"}
PARAMS = {**PESQ, "network": "Dense, parameters of full S-MoE"}
LATE = "----L.multi.supervised.global"

# What the page says, and the table (study, name), row (column: value) and column that say it.
QUOTED = [
    ("dense network ({:.3f}", "quick", "table1_main", FULL, "clean"),
    ("against {:.3f} PESQ-WB", "quick", "table1_main", {**PESQ, "network": "Dense"}, "clean"),
    ("late decoder {:.3f} here", "core", "table6_factorial", {"factor": "late decoder"}, "effect"),
    ("{:.3f} in `pilot`", "pilot", "table6_factorial", {"factor": "late decoder"}, "effect"),
    ("a little, by {:.3f}", "core", "table6_factorial", {"factor": "mid decoder"}, "effect"),
    ("early encoder {:+.3f}", "core", "table6_factorial", {"factor": "early encoder"}, "effect"),
    ("mid encoder {:+.3f}", "core", "table6_factorial", {"factor": "mid encoder"}, "effect"),
    ("bottleneck {:+.3f}", "core", "table6_factorial", {"factor": "bottleneck"}, "effect"),
    ("equal MACs reaches {:.3f}", "core", "table1_main", MACS, "overall"),
    ("parameters {:.3f}", "core", "table1_main", PARAMS, "overall"),
    ("full S-MoE {:.3f}", "core", "table1_main", FULL, "overall"),
    ("Shapley value {:.3f}", "pilot", "table6_factorial", {"factor": "late decoder"}, "effect"),
    ("a little**: {:+.3f}", "pilot", "table6_factorial", {"factor": "early encoder"}, "effect"),
    ("rises from {:.3f}", "pilot", FORCED, {"group": "STOI", "network": LATE}, "learned"),
    ("`----L` goes from {:.3f}", "pilot", "table2_placements", {"placement": "----L"}, "pesq_wb"),
    ("to {:.3f} PESQ-WB", "mapping", "table2_placements", {"placement": "----L"}, "pesq_wb"),
    ("from {:.3f} to 0.652 STOI", "pilot", "table2_placements", {"placement": "----L"}, "stoi"),
    ("to {:.3f} STOI", "mapping", "table2_placements", {"placement": "----L"}, "stoi"),
    ("from {:.1f} to", "pilot", "table2_placements", {"placement": "----L"}, "si_sdr_db"),
    ("to {:.1f} dB SI-SDR", "mapping", "table2_placements", {"placement": "----L"}, "si_sdr_db"),
    ("dense network ({:.3f}", "mapping", "table2_placements", {"placement": "-----"}, "pesq_wb"),
]


def value(study: str, table: str, row: dict[str, str], column: str) -> float:
    rows = pd.read_csv(RESULTS / study / "tables" / f"{table}.csv")
    for name, wanted in row.items():
        named = rows[name].str.replace(r" \(\d of \d seeds\)$", "", regex=True)
        rows = rows[named == wanted]
    return float(rows[column].iloc[0])


@pytest.mark.parametrize(("phrase", "study", "table", "row", "column"), QUOTED)
def test_quoted_figures_are_those_of_the_tables(phrase, study, table, row, column):
    assert phrase.format(value(study, table, row, column)) in PROSE


@pytest.mark.parametrize(("routing", "figure"), [("oracle", "to {:.3f},"), ("uniform", "{:.3f} (")])
def test_quoted_forced_routing(routing, figure):
    """Learned plus the paired change: what the same weights reach when routed otherwise."""
    row = {"group": "STOI", "network": LATE}
    total = value("pilot", FORCED, row, "learned")
    total += value("pilot", FORCED, row, f"{routing}_minus_learned")
    assert figure.format(total) in PROSE


@pytest.mark.parametrize("study", ["quick", "core", "pilot"])
def test_quoted_router_accuracy(study):
    """Of the global routers that saw true labels."""
    rows = pd.read_csv(RESULTS / study / "tables" / "table7a_router.csv")
    rows = rows[rows["network"].str.contains("supervised.global", regex=False)]
    percent = (100 * rows["accuracy"]).round().astype(int)
    assert f"{percent.min()} to {percent.max()} %" in PROSE


def test_quoted_specialisation():
    """Of the S-MoE cells of `core`: where one expert alone is significantly better (marked *)."""
    cells = (RESULTS / "core" / "tables" / "table7c_specialisation.md").read_text().split("\n| *")
    lines = [line for cell in cells if "multi.supervised" in cell for line in cell.splitlines()]
    rows = {kind: [line for line in lines if line.startswith(f"| {kind} |")] for kind in KINDS}
    assert [len(rows[kind]) for kind in KINDS] == [31, 31]
    sure = {kind: sum(row.rstrip(" |").endswith("*") for row in rows[kind]) for kind in KINDS}
    assert sure["noise"] == 0
    assert f"significantly in {sure['reverb']} of 31 networks" in PROSE
    table = pd.read_csv(RESULTS / "core" / "tables" / "table7c_specialisation.csv")
    smoe = table[table["group"].str.contains("multi.supervised") & (table["condition"] == "noise")]
    assert len(smoe) == 31
    assert f"and in {(smoe['noise_minus_reverb'] < 0).sum()} the reverb expert" in PROSE


def test_quoted_gains_of_the_oracle():
    """In STOI, with and without a late-decoder layer."""
    rows = pd.read_csv(RESULTS / "core" / "tables" / f"{FORCED}.csv")
    rows = rows[(rows["group"] == "STOI") & rows["network"].str.contains("multi.supervised")]
    late = rows["network"].str[4] == "L"
    for some, phrase in ((late, "gain STOI, by {}"), (~late, "other 15 by {}")):
        gains = rows.loc[some, "oracle_minus_learned"]
        assert phrase.format(f"{gains.min():.3f} to {gains.max():.3f}") in PROSE
