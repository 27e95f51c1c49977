"""The tables of a report, in order."""

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.rendering.forms import Table
from analysis.tables.agreement import agreement_table
from analysis.tables.axes import axis_table
from analysis.tables.conditions import condition_tables
from analysis.tables.cost import cost_table
from analysis.tables.factorial import factorial_table
from analysis.tables.further import further_table
from analysis.tables.levels import levels_table
from analysis.tables.main import main_table, placement_table
from analysis.tables.mapping import mapping_table
from analysis.tables.rank import rank_table
from analysis.tables.router import counterfactual_table, router_table, specialisation_table
from analysis.tables.variance import variance_table


def all_tables(bundle: Bundle) -> list[Table]:
    """Return the tables in order; those of router and further measures only if a run has any."""
    router = [router_table, counterfactual_table, specialisation_table]
    tables = [main_table(bundle), placement_table(bundle), agreement_table(bundle)]
    tables += [axis_table(bundle, axis) for axis in words.AXES]
    tables += [factorial_table(bundle)]
    tables += [make(bundle) for make in router if len(bundle.routing)]
    tables += [cost_table(bundle), variance_table(bundle), *condition_tables(bundle)]
    tables += [mapping_table(bundle)] if len(bundle.routing) else []
    tables += [levels_table(bundle)] if bundle.levels else []
    return [*tables, further_table(bundle), rank_table(bundle)] if bundle.further else tables
