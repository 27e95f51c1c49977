"""What the suite relies on in a study file, tried without training."""

from collections.abc import Iterator
from pathlib import Path

from ablations.runs.plan import plan
from ablations.studies.study import load_study
from smoe.errors import UserError


def broken_study(name: str, results: Path) -> Iterator[str]:
    """Yield one sentence for each thing that a study lacks; nothing where all is well.

    Args:
        name: Name, or path of a study file.
        results: Results folder, for the plan; nothing is written to it.
    """
    try:
        plan(load_study(name), results)
    except UserError as error:
        yield str(error)
    except ValueError as error:  # a control that cannot be matched at this width
        yield f"{name} cannot be planned ({error}): widen the network or leave that cell out."
