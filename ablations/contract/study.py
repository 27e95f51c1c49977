"""What the suite relies on in a study file, tried without training."""

from collections.abc import Iterator
from pathlib import Path

from ablations.runs.plan import plan
from ablations.studies.study import load_study
from smoe.config import SAMPLE_RATE, RunConfig
from smoe.errors import UserError

SMALLEST_MAP = 32  # bands and frames that the network takes, at least


def broken_study(name: str, results: Path) -> Iterator[str]:
    """Yield one sentence for each thing that a study lacks; nothing where all is well.

    Args:
        name: Name, or path of a study file.
        results: Results folder, for the plan; nothing is written to it.
    """
    try:
        runs = plan(load_study(name), results)
        trained = [run for run in runs if run.work]
    except UserError as error:
        yield str(error)
    except ValueError as error:  # a control that cannot be matched at this width
        yield f"{name} cannot be planned ({error}): widen the network or leave that cell out."
    else:
        yield from dict.fromkeys(s for run in trained for s in _small_maps(name, run.config))


def _small_maps(name: str, config: RunConfig) -> Iterator[str]:
    assert config.model is not None
    bands = config.model.n_fft // 2 + 1
    for section, crop_s in (("mix", config.mix.crop_s), ("test", config.test.crop_s)):
        frames = 1 + round(crop_s * SAMPLE_RATE) // config.model.hop_length
        if min(bands, frames) < SMALLEST_MAP:
            yield (
                f"{name} has maps of {bands} x {frames} (bands x frames) in [{section}], and the "
                f"network takes {SMALLEST_MAP} x {SMALLEST_MAP} or more: make {section}.crop_s or "
                "model.n_fft larger, or model.hop_length smaller."
            )
