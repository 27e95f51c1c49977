"""What a person sees while recordings are enhanced: how much is done, and the time left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ablations.cli.display import PIPED_INTERVAL_S

Show = Callable[[str, float], None]  # name of a recording, and seconds of all of them enhanced


@contextmanager
def enhancing_progress(console: Console, total_s: float) -> Iterator[Show]:
    """Show the progress over all recordings; yields what is to be called on the way.

    On a terminal the display is live; into a pipe it is a line every 30 s.

    Args:
        console: Where to.
        total_s: Length of all recordings, in seconds.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    last_line = time.monotonic()
    live = console.is_terminal and not console.quiet
    with Progress(*columns, console=console, disable=not live, transient=True) as bar:
        task = bar.add_task("enhancing", total=max(total_s, 1e-9))

        def show(name: str, done_s: float) -> None:
            nonlocal last_line
            bar.update(task, completed=done_s, description=name)
            now = time.monotonic()
            if not live and now - last_line > PIPED_INTERVAL_S:
                last_line = now
                console.print(f"{name}: {done_s / 60:.1f} of {total_s / 60:.1f} min enhanced")

        yield show
