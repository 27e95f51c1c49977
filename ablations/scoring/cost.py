"""What each measure costs, per utterance and core."""

from pathlib import Path

from rich.console import Console

from ablations.pipeline import prepare_corpus
from smoe.config import SAMPLE_RATE, TestSetConfig


def costs(results: Path, console: Console, rounds: int = 5) -> dict[str, float]:
    """Time every measure that is installed on one utterance of 3 s of the synthetic corpus.

    Args:
        results: Results folder, for the corpus.
        console: Where progress is shown.
        rounds: How often each is computed; the median counts.

    Returns:
        Measure to CPU time in s per utterance; see `evaluate_further.seconds_per_utterance`.
    """
    from smoe.evaluation.evaluate_further import seconds_per_utterance
    from smoe.mixtures.test_set import test_set

    corpus = prepare_corpus("synthetic:tiny", results, console)
    few = TestSetConfig(crop_s=3.0, snrs_db=(5.0,), per_snr=1, clean=0)
    mixture = test_set(corpus, few).mixture
    waves = (signal[-1, : 3 * SAMPLE_RATE].numpy() for signal in (mixture.clean, mixture.noisy))
    reference, estimate = waves
    return seconds_per_utterance(reference=reference, estimate=estimate, rounds=rounds)
