"""What the suite relies on in a metric, tried on a few seconds of speech."""

from collections.abc import Callable, Iterator

import numpy as np

from smoe.metrics import METRICS, RANGES, MetricError, Wave
from smoe.schema import measures

Metric = Callable[..., float]
CLEARER_DB, NOISIER_DB = 20.0, -5.0


def broken_metric(name: str, speech: Wave) -> Iterator[str]:
    """Yield one sentence for each thing that a metric lacks; nothing where all is well.

    Args:
        name: Its name in `smoe.metrics.METRICS`.
        speech: Clean speech of some seconds, float32 [samples].
    """
    if name not in METRICS:
        yield f'There is no metric "{name}": add it to METRICS of smoe/metrics.py.'
        return
    if name not in measures.METRICS:
        yield f"{name} would not be shown: add it to METRICS of smoe/schema/measures.py."
        return
    metric = METRICS[name]
    try:
        clearer, noisier = (_of(metric, speech, snr) for snr in (CLEARER_DB, NOISIER_DB))
    except Exception as error:  # whatever a user's function raises
        yield f"{name} raises on speech ({type(error).__name__}: {error}): return a number there."
        return
    if not all(isinstance(value, float) and np.isfinite(value) for value in (clearer, noisier)):
        yield f"{name} gives {clearer!r} and {noisier!r} on speech: return finite floats."
        return
    yield from _in_range(name, [clearer, noisier])
    yield from _direction(name, clearer, noisier)
    yield from _repeats(name, metric, speech)
    yield from _silence(name, metric, speech)


def _of(metric: Metric, speech: Wave, snr_db: float) -> float:
    noise = np.random.default_rng(0).normal(size=len(speech))
    scale = np.sqrt(np.mean(speech**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return metric(reference=speech, estimate=(speech + scale * noise).astype(np.float32))


def _in_range(name: str, values: list[float]) -> Iterator[str]:
    if name not in RANGES:
        yield f'{name} declares no range: add RANGES["{name}"] = (lowest, highest).'
        return
    low, high = RANGES[name]
    if outside := [value for value in values if not low <= value <= high]:
        yield f"{name} gives {outside[0]:g}, outside its range {low:g} to {high:g}: mend either."


def _direction(name: str, clearer: float, noisier: float) -> Iterator[str]:
    higher_is_better = measures.METRICS[name].higher_is_better
    if (clearer > noisier) != higher_is_better:
        wanted = "higher" if higher_is_better else "lower"
        yield (
            f"{name} gives {clearer:g} at {CLEARER_DB:g} dB SNR and {noisier:g} at {NOISIER_DB:g} "
            f"dB: the better signal must have the {wanted} value."
        )


def _repeats(name: str, metric: Metric, speech: Wave) -> Iterator[str]:
    kept, state = speech.copy(), np.random.get_state()
    try:
        np.random.seed(1)
        first, after = _of(metric, speech, NOISIER_DB), np.random.random()
        np.random.seed(2)
        second = _of(metric, speech, NOISIER_DB)
        np.random.seed(1)
        touched = after != np.random.random()
    finally:
        np.random.set_state(state)
    if first != second:
        yield f"{name} gives {first!r}, then {second!r} on the same speech: fix its seed."
    if touched:
        yield f"{name} draws from NumPy's global generator: use a generator of its own."
    if not np.array_equal(kept, speech):
        yield f"{name} changes the reference it is given: work on a copy."


def _silence(name: str, metric: Metric, speech: Wave) -> Iterator[str]:
    silence = np.zeros_like(speech)
    for what, reference, estimate in (
        ("estimate", speech, silence), ("reference", silence, speech),
    ):  # fmt: skip
        try:
            value = metric(reference=reference, estimate=estimate)
        except MetricError as error:
            if not str(error).strip():
                yield f"{name} gives no reason for a silent {what}: name it in the MetricError."
        except Exception as error:
            yield (
                f"{name} raises {type(error).__name__} for a silent {what}: raise MetricError with "
                "a reason."
            )
        else:
            yield f"{name} gives {value!r} for a silent {what}: raise MetricError with a reason."
