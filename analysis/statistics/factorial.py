"""Which factor does what: effects, interactions and Shapley values of a complete 2^k design.

Everything here is a linear combination of cell means, written as a contrast over the cells. The
cells are indexed by their levels read as bits, first factor most significant: cell 0b10100 has
factors 0 and 2 on. Applied to scores seed by seed and utterance by utterance, a contrast keeps the
pairing.
"""

from itertools import combinations
from math import factorial

import numpy as np

from analysis.statistics.intervals import Array


def levels(n_factors: int) -> Array:
    """Return the levels of every cell, [2**k, k] of 0 and 1, in the order of the cells."""
    cells = np.arange(2**n_factors)[:, None]
    return cells >> np.arange(n_factors - 1, -1, -1) & 1


def main_effects(n_factors: int) -> Array:
    """Return contrasts [k, 2**k]: mean with the factor on minus mean with it off."""
    signs = 2 * levels(n_factors) - 1
    return signs.T / 2 ** (n_factors - 1)


def two_way_interactions(n_factors: int) -> tuple[list[tuple[int, int]], Array]:
    """Return pairs of factors and their contrasts [pairs, 2**k].

    Half the difference between a factor's effect with the other on and with the other off (Box,
    Hunter and Hunter 2005, chapter 5).
    """
    signs = 2 * levels(n_factors) - 1
    pairs = list(combinations(range(n_factors), 2))
    contrasts = [signs[:, i] * signs[:, j] / 2 ** (n_factors - 1) for i, j in pairs]
    return pairs, np.array(contrasts)


def shapley_values(n_factors: int) -> Array:
    """Return contrasts [k, 2**k] whose values are the Shapley values of the factors as players.

    A factor's contribution averaged over all orders of switching factors on (Shapley 1953); they
    sum to the value of all on minus that of all off.
    """
    on = levels(n_factors)
    sizes = on.sum(axis=1)
    others = np.where(on, sizes[:, None] - 1, sizes[:, None])  # players there before this one
    weight = np.array(
        [
            factorial(n) * factorial(n_factors - 1 - n) / factorial(n_factors)
            for n in range(n_factors)
        ]
    )
    return (weight[others] * (2 * on - 1)).T
