"""The grid: 249 distinct cells, stable names, and one identity per network."""

import itertools

import pytest

from ablations.studies.grid import CELLS, CONTROLS, expand, find, resolve
from ablations.studies.study import available, load_study
from smoe.config import POSITIONS, RunConfig
from smoe.errors import UserError
from smoe.network.cost import cost

BASE = RunConfig(data_hash="x")


def test_the_256_combinations_are_249_distinct_networks():
    identities = {resolve(code, BASE).identity() for code in CELLS}
    assert len(CELLS) == len(identities) == 249


def test_without_experts_the_other_axes_do_not_make_another_network():
    dense = BASE.model_copy(
        update={"model": BASE.model.model_copy(update={"smoe_layer_positions": ()})}
    )
    varied = [
        dense.model_copy(update={"model": dense.model.model_copy(update=fields)})
        for fields in ({"routing": "implicit"}, {"router_scope": "per_layer"}, {"n_experts": 3})
    ]
    assert {config.identity() for config in [dense, *varied]} == {resolve("dense", BASE).identity()}


def test_every_axis_changes_the_identity():
    axes = itertools.product(
        ("multi", "single"), ("supervised", "implicit"), ("global", "per_layer")
    )
    codes = [f"EMBDL.{mode}.{routing}.{scope}" for mode, routing, scope in axes]
    assert len({resolve(code, BASE).identity() for code in codes}) == 8


def test_the_order_of_placements_does_not_change_the_identity():
    shuffled = BASE.model_copy(
        update={"model": BASE.model.model_copy(update={"smoe_layer_positions": POSITIONS[::-1]})}
    )
    assert shuffled.identity() == BASE.identity()


def test_labels_shuffled_or_not_is_one_network_where_labels_are_not_used():
    shuffled = {"train": BASE.train.model_copy(update={"shuffle_labels": True})}
    implicit = resolve("EMBDL.multi.implicit.global", BASE)
    supervised = resolve("EMBDL.multi.supervised.global", BASE)
    assert implicit.model_copy(update=shuffled).identity() == implicit.identity()
    assert supervised.model_copy(update=shuffled).identity() != supervised.identity()


@pytest.mark.parametrize(
    ("code", "letters"), [("E-B--.multi.supervised.global", "E-B--"), ("dense", "-----")]
)
def test_a_code_names_its_placement(code: str, letters: str):
    cell = find(code)
    assert cell.placement_code == letters
    assert cell.placement == tuple(p for p, x in zip(POSITIONS, letters, strict=True) if x != "-")


@pytest.mark.parametrize("width", [4, 8, 45])
def test_dense_controls_cost_what_the_full_network_costs(width: int):
    base = BASE.model_copy(update={"model": BASE.model.model_copy(update={"init_channels": width})})
    full = cost(resolve("EMBDL.multi.supervised.global", base).model)
    assert cost(resolve("dense-params", base).model).params == pytest.approx(full.params, rel=0.01)
    macs = cost(resolve("dense-macs", base).model).macs_per_s
    assert macs == pytest.approx(full.macs_per_s, rel=0.01)


def test_patterns_choose_cells_once_and_in_order():
    chosen = expand(["EMBDL.*", "dense", "EMBDL.multi.*"])
    assert chosen[0] == "dense"
    assert len(chosen) == len(set(chosen)) == 9


def test_a_misspelt_cell_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"did you mean \"E-B--.multi.supervised.global\""):
        expand(["E-B--.multi.supervized.global"])


def test_the_studies_have_the_sizes_that_the_design_promises():
    sizes = {name: len(load_study(name).cells) for name in available()}
    assert sizes == {
        "smoke": 4,
        "quick": 1 + 5 + 8 + len(CONTROLS),
        "core": 32 + len(CONTROLS) + 3,  # and three dense networks of other widths
        "budget": 8,
        "width": 5,
        "harm": 3,
        "full": 249 + len(CONTROLS),
        "paper": 249 + len(CONTROLS),
    }


def test_smoke_touches_every_value_of_every_axis():
    cells = [find(code) for code in load_study("smoke").cells if code != "dense"]
    assert {cell.expert_mode for cell in cells} == {"multi", "single"}
    assert {cell.routing for cell in cells} == {"supervised", "implicit"}
    assert {cell.router_scope for cell in cells} == {"global", "per_layer"}
    assert set().union(*(cell.placement for cell in cells)) == set(POSITIONS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("quik",), 'did you mean "quick"'),
        (("quick", None, ["train.stps=3"]), 'did you mean "train.steps"'),
        (("quick", None, ["steps=3"]), 'did you mean "train.steps"'),
        (("quick", None, ["train.steps"]), "section.field=value"),
    ],
)
def test_a_misspelt_study_or_setting_is_refused_with_the_nearest(arguments, message: str):
    with pytest.raises(UserError, match=message):
        load_study(*arguments)


def test_an_impossible_value_is_refused_by_name():
    with pytest.raises(UserError, match=r"train\.steps"):
        load_study("quick", None, ["train.steps=-1"]).base("x")


def test_other_settings_or_data_get_a_results_folder_of_their_own():
    names = [
        load_study("quick").name,
        load_study("quick", None, ["train.steps=300"]).name,  # what the file says anyway
        load_study("quick", None, ["train.steps=7"]).name,
        load_study("quick", "elsewhere").name,
    ]
    assert names[0] == names[1] == "quick"
    assert len(set(names)) == 3
