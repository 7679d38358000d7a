"""Replicates that look for the lowest loss: by starts, by kicks, and by what others of them have found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.rows import Rows
from latom.factorize.rank.replicates import Replicates, Runs

Array = NDArray[Any]
# Of a replicate where there are ten: starts, and kicks of a round. Components that a kick throws away.
STARTS, KICKS, THROWN = 4, 16, 2
ROUNDS, PARTIES = 2, 2


def search_replicates(
    function: str,
    rows: Rows,
    k: int,
    streams: Sequence[int],
    noise: float,
    estimator: Any,
    seed: int,
    n_threads: int | None,
) -> Replicates:
    """Replicates as `factorize_replicates` makes them, each from many starts.

    Losses of the minima that random starts lead to differ by a thousandth where components overlap, and few
    lead to the lowest. A replicate takes the best of some; then, in rounds, it tries what others of its party
    have found, and throws away some of its components again and again, which start anew. The parties know
    nothing of each other: what they agree on has been found twice. Starts and kicks of all replicates are as
    many for any number of replicates.
    """
    search = _Search(Runs(function, rows, noise, estimator, seed, n_threads), k, streams)
    share = 10 / len(streams)
    for start in range(max(1, round(STARTS * share))):
        search.draw(start)
    rng = np.random.default_rng([seed, k])
    for _ in range(ROUNDS):
        search.exchange()
        for _ in range(max(1, round(KICKS * share))):
            search.kick(rng)
    search.exchange()
    return Replicates(*search.descend.scaled(search.H, search.losses), search.n_iter)


class _Search:
    """The best that replicates have found so far."""

    def __init__(self, descend: Runs, k: int, streams: Sequence[int]) -> None:
        self.descend, self.k, self.streams = descend, k, streams
        self.losses, self.n_iter = np.full(len(streams), np.inf), np.zeros(len(streams), np.int64)
        rows = descend.products
        self.H = np.zeros((len(streams), k, rows.shape[1]), rows.dtype)

    def draw(self, start: int) -> None:
        """Each replicate from another random start."""
        self._try(range(len(self.streams)), None, start)

    def exchange(self) -> None:
        """Each replicate from what the others of its party have found."""
        own = range(len(self.streams))
        pairs = [(to, at) for to in own for at in own if to != at and (to - at) % PARTIES == 0]
        if pairs:
            replicates, sources = zip(*pairs, strict=True)
            self._try(replicates, self.H[list(sources)])

    def kick(self, rng: np.random.Generator) -> None:
        """Each replicate from what it has found, some components thrown away."""
        H = self.H.copy()
        scale = np.sqrt(self.descend.mean / self.k)
        for own in H:
            thrown = rng.choice(self.k, min(THROWN, self.k), replace=False)
            own[thrown] = scale * np.abs(rng.standard_normal((len(thrown), H.shape[2])))
        self._try(range(len(H)), H)

    def _try(self, replicates: Sequence[int], H: Array | None, start: int = 0) -> None:
        k = [self.k] * len(replicates)
        streams = [self.streams[r] for r in replicates]
        if H is not None:
            H = H.reshape(-1, H.shape[2])
        for r, loss, count, found in zip(
            replicates, *self.descend(k, streams, [start] * len(k), H), strict=True
        ):
            if loss < self.losses[r]:
                self.H[r], self.losses[r], self.n_iter[r] = found, loss, count
