"""Levels of a recording, gathered while it is read block by block."""

import numpy as np

RUN = 3  # samples at full scale in a row are clipping; single ones may be just loud


class Levels:
    """Counts clipped samples, and finds the peak and the mean of what the channels are mixed to."""

    def __init__(self) -> None:
        self.peak, self._sum, self._mixed = 0.0, 0.0, 0
        self._clipped, self._samples = 0, 0
        self._before = np.zeros((RUN, 0), bool)

    def add_channels(self, block: np.ndarray, full_scale: float | None) -> None:
        """Count clipped samples of a block.

        Args:
            block: float64 [samples, channels].
            full_scale: Magnitude from which a sample is at full scale; None where the format has
                no limit, so that nothing can be clipped by it.
        """
        self._samples += block.size
        if full_scale is None:
            return
        if not self._before.shape[1]:
            self._before = np.zeros((RUN, block.shape[1]), bool)
        at = np.concatenate([self._before, np.abs(block) >= full_scale])
        ends = at[2:] & at[1:-1] & at[:-2]  # a third one in a row
        begins = ends[1:] & ~ends[:-1]
        self._clipped += int(ends[1:].sum()) + (RUN - 1) * int(begins.sum())
        self._before = at[-RUN:]

    def add_mixed(self, mixed: np.ndarray) -> None:
        """Take a block of the mixed-down audio, float64 [samples]."""
        self.peak = max(self.peak, float(np.abs(mixed).max(initial=0)))
        self._sum += float(mixed.sum())
        self._mixed += len(mixed)

    def mean(self) -> float:
        """Return the mean of the mixed-down audio."""
        return self._sum / max(self._mixed, 1)

    def clipped(self) -> float:
        """Return the share of samples that stand in runs of at least three at full scale."""
        return self._clipped / max(self._samples, 1)
