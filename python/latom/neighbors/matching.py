"""Pairs of rows across two spaces that know nothing of each other, grown from a few that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_dense
from latom._base.backend import call
from latom._base.checks import check_integer, shown
from latom._base.rows import Rows
from latom.neighbors.collection import Collection


def match_anchors(
    A: Matrix,
    B: Matrix,
    seeds: Any,
    n_anchors: int = 300,
    *,
    max_iter: int = 20,
    n_threads: int | None = None,
) -> NDArray[np.int64]:
    """Grow parallel anchors: pairs of rows of two spaces that stand for the same thing.

    Each round describes the rows of both spaces by their cosines with the anchors so far, finds pairs that
    are each other's nearest, and takes the surest of them, up to twice as many as before. Rounds end when
    n_anchors are reached, or when no pair is new.

    Parameters
    ----------
    A : dense array of shape (n, d)
        Rows of the first space.
    B : dense array of shape (m, d')
        Rows of the second.
    seeds : int array of shape (s, 2)
        Known pairs: a row of A and one of B. They stay. How many are needed: see the notes.
    n_anchors : int, default 300
        Pairs wanted.
    max_iter : int, default 20
        Rounds at most.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`.

    Returns
    -------
    pairs : int64 array of shape (p, 2)
        The seeds first, then what was found; p is below n_anchors where no more pairs agree.

    Raises
    ------
    ValueError
        If seeds are not pairs of rows, or a row stands in two of them.

    Notes
    -----
    Mutual nearest neighbors in place of the gradient steps of the paper. Cost of a round: n m p
    multiply-adds.

    Five to ten seeds suffice where one space is a rotation of the other with some noise, as those of one
    model trained twice may be. Spaces of different kinds need hundreds: between 5000 abstracts by MiniLM and
    the same by an SVD of their TF-IDF, 4 % of the pairs grown from 15 seeds are right and 67 % of those from
    300 (``examples/relative_spaces.py``). Wrong pairs of a round mislead the next, so try it on pairs that
    are known.

    References
    ----------
    Cannistraci et al., "Bootstrapping parallel anchors for relative representations", 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.neighbors import match_anchors
    >>> A = np.random.default_rng(0).normal(size=(40, 4))
    >>> pairs = match_anchors(A, A[:, ::-1], np.arange(8)[:, None].repeat(2, 1), 20)
    >>> bool((pairs[:, 0] == pairs[:, 1]).all())
    True
    """
    function = "match_anchors"
    spaces = [_unit(as_dense(function, A, "A")), _unit(as_dense(function, B, "B"))]
    pairs = _seed_pairs(function, seeds, len(spaces[0]), len(spaces[1]))
    wanted = check_integer(function, "n_anchors", n_anchors)
    rounds = check_integer(function, "max_iter", max_iter)
    context = call(function, n_threads)
    known = len(pairs)
    for _ in range(rounds):
        if len(pairs) >= wanted:
            break
        first, second = (space @ space[pairs[:, side]].T for side, space in enumerate(spaces))
        score, there = _nearest(context, first, second)
        _, back = _nearest(context, second, first)
        mutual = np.flatnonzero(back[there] == np.arange(len(there)))
        taken = np.isin(mutual, pairs[:known, 0]) | np.isin(there[mutual], pairs[:known, 1])
        mutual = mutual[~taken]
        best = mutual[np.argsort(-score[mutual], kind="stable")][: min(wanted, 2 * len(pairs)) - known]
        grown = np.vstack([pairs[:known], np.column_stack([best, there[best]])])
        if np.array_equal(grown, pairs):
            break
        pairs = grown
    return pairs[:wanted]


def _unit(rows: NDArray[Any]) -> NDArray[Any]:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    unit: NDArray[Any] = rows / np.where(lengths > 0, lengths, 1)[:, None].astype(rows.dtype)
    return unit


def _nearest(
    context: Any, queries: NDArray[Any], rows: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    collection = Collection(Rows(context.function, np.ascontiguousarray(rows)), "cosine")
    given = Rows(context.function, np.ascontiguousarray(queries))
    values, indices, _ = collection.topk(context, given, 1)
    return values[:, 0], indices[:, 0].astype(np.int64)


def _seed_pairs(function: str, seeds: Any, n: int, m: int) -> NDArray[np.int64]:
    pairs = np.asarray(seeds)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs) or pairs.dtype.kind not in "iu":
        raise ValueError(
            f"{function}: seeds must be integers of shape (pairs, 2); got {shown(seeds)}. Pass a row of A "
            "and one of B "
            "in each."
        )
    if pairs.min() < 0 or (pairs.max(axis=0) >= (n, m)).any():
        raise ValueError(
            f"{function}: seeds must hold rows of A, [0, {n}), and of B, [0, {m}); got "
            f"{pairs.max(axis=0).tolist()}. "
            "Count rows from 0."
        )
    if len(np.unique(pairs[:, 0])) < len(pairs) or len(np.unique(pairs[:, 1])) < len(pairs):
        raise ValueError(
            f"{function}: seeds must hold each row once; got {shown(seeds)}. Leave out the second pair of "
            "a row."
        )
    return pairs.astype(np.int64)
