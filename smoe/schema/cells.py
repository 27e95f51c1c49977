"""Which cells are networks that a study trains, and which are scored beside them.

Beside its networks a bundle holds the unprocessed input and outside systems: enhancers that are
none of the suite's, of which only the estimates are known. Neither has seeds.
"""

import re

UNPROCESSED = "unprocessed"
OUTSIDE = "outside:"  # begins the code of an outside system
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


def is_outside(cell: str) -> bool:
    """Return whether a cell is an outside system."""
    return cell.startswith(OUTSIDE)


def is_trained(cell: str) -> bool:
    """Return whether a cell is a network of the study, with seeds, settings and costs."""
    return cell != UNPROCESSED and not is_outside(cell)


def outside_code(name: str) -> str:
    """Return the cell code of an outside system, `outside:NAME`.

    Raises:
        ValueError: the name has other characters than letters, digits, `-` and `_`, or over 40.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(name)
    return OUTSIDE + name


def outside_name(cell: str) -> str:
    """Return the name under which an outside system was scored."""
    return cell.removeprefix(OUTSIDE)
