"""Cells whose code begins with a hyphen, such as `----L.multi.supervised.global`, as arguments."""

import re
from typing import Any

from typer.core import TyperCommand

_CELL = re.compile(r"-[M-][B-][D-][L-](\.\S*)?")


class CellCommand(TyperCommand):
    """A command whose argument may be such a cell; without this it would be taken for an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line with such cells moved behind `--`."""
        if "--" in args:
            return super().parse_args(ctx, args)
        cells = [arg for arg in args if _CELL.fullmatch(arg)]
        others = [arg for arg in args if not _CELL.fullmatch(arg)]
        return super().parse_args(ctx, [*others, "--", *cells] if cells else others)
