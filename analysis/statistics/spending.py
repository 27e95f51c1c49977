"""What level each look at a growing study uses, so that all looks together keep the family's.

A study that runs until it is decided is looked at after declared numbers of seeds, ``n_1 < ... <
N``. By look k the share ``(n_k / N)^2`` of the level may be spent (power family of Kim and DeMets
1987), and each look uses what it adds:

    level_k = alpha (n_k^2 - n_(k-1)^2) / N^2,      sum over k = alpha

A look judges its whole family at its own level, with Holm, and forgets earlier looks. An error at
the look that is reported is an error at some look, so the chance of one is at most the sum of the
levels, however the looks depend on each other (Bonferroni): no joint distribution is assumed. The
number of seeds alone says which look it is, so a bundle needs no other memory.
"""

RHO = 2.0  # of the power family: later looks, at which more is known, get more


def level_at(alpha: float, looks: tuple[int, ...], n_seeds: int) -> float:
    """Return the level of the last look at up to so many seeds; that of the first before it.

    Without looks it is alpha.

    Args:
        alpha: Level of the family over all looks.
        looks: Increasing numbers of seeds.
        n_seeds: Complete seeds.
    """
    if not looks:
        return alpha
    k = looks.index(last_look(looks, n_seeds))
    before = (looks[k - 1] / looks[-1]) ** RHO if k else 0.0
    return alpha * ((looks[k] / looks[-1]) ** RHO - before)


def last_look(looks: tuple[int, ...], n_seeds: int) -> int:
    """Return the number of seeds of the last look at up to so many; the first look before it."""
    return max((look for look in looks if look <= n_seeds), default=looks[0])
