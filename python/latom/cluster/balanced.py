"""Rows drawn evenly over clusters, and evenly over the clusters of clusters above them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_numpy, as_seed, as_vector
from latom._base.checks import check_choice, check_integer, shown

STRATEGIES = ("random", "closest", "farthest")


def fill_evenly(sizes: NDArray[np.int64], total: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """How many of each group make `total` in all, as evenly as the sizes of the groups allow.

    Water filling: every group gives min(level, size) at the highest level that is not too much. What is left
    goes one each to groups that have more, which are drawn by chance.
    """
    order = np.sort(sizes)[::-1]
    low, high = 0, int(order[0]) if len(order) else 0
    while low < high:  # the highest level whose sum is at most total
        level = (low + high + 1) // 2
        if int(np.minimum(sizes, level).sum()) <= total:
            low = level
        else:
            high = level - 1
    given = np.minimum(sizes, low)
    left = total - int(given.sum())
    if left > 0:
        more = np.flatnonzero(sizes > low)
        given[generator.permutation(more)[:left]] += 1
    return given


def balanced_sample(
    labels: Any,
    size: int,
    *,
    strategy: str = "random",
    scores: Any = None,
    random_state: Any = None,
) -> NDArray[np.int64]:
    """Draw rows evenly over clusters, without replacement.

    Parameters
    ----------
    labels : int array of shape (n,), a sequence of such arrays, or a fitted estimator
        The cluster of each row; of an estimator its ``labels_``. Several arrays are levels of a hierarchy,
        the finest first, in which all rows of a cluster share their cluster of the level above: the draw is
        even over the top clusters, within each over its clusters of the next level, and so on. Rows of a
        negative label are left out.
    size : int
        Rows to draw, at most as many as have a cluster.
    strategy : {"random", "closest", "farthest"}
        Which rows of a finest cluster: by chance, those of the highest scores, or of the lowest.
    scores : array of shape (n,), optional
        Nearness of each row to its center, as :func:`latom.assign` returns it. Needed unless strategy is
        "random", or labels are a :class:`latom.HierarchicalKMeans`, which has them.
    random_state : int, Generator, RandomState or None
        Seed. Which clusters give one row more than others is a draw, too.

    Returns
    -------
    indices : int64 array of shape (size,)
        Rows, rising and distinct.

    Raises
    ------
    ValueError
        If shapes disagree, size exceeds the rows that have a cluster, or a cluster lies in two clusters of
        the level above.

    Notes
    -----
    Each cluster gives min(level, its size) rows, at the highest level that the size allows (water filling);
    budgets are whole numbers and add up to size exactly. O(n log n).

    References
    ----------
    Vo et al., "Automatic data curation for self-supervised learning: a clustering-based approach", 2024.

    Examples
    --------
    >>> import numpy as np, latom
    >>> labels = np.repeat([0, 1, 2], [90, 8, 2])
    >>> rows = latom.balanced_sample(labels, 12, random_state=0)
    >>> np.bincount(labels[rows]).tolist()
    [5, 5, 2]
    """
    function = "balanced_sample"
    if hasattr(labels, "fit"):
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(labels)
        scores = getattr(labels, "scores_", None) if scores is None else scores
        if not hasattr(labels, "labels_"):
            raise ValueError(
                f"{function}: labels must be numbers, or an estimator with labels_; got {shown(labels)}. "
                "Pass what its predict gives."
            )
        labels = labels.labels_
    levels = _as_levels(function, labels)
    check_choice(function, "strategy", strategy, STRATEGIES)
    n = len(levels[0])
    order = None
    if strategy != "random":
        order = as_vector(function, "scores", scores, n)
        if order is None:
            raise ValueError(
                f"{function}: scores must be given with strategy={strategy!r}; got None. Pass the scores of "
                "latom.assign."
            )
        order = -order if strategy == "closest" else order
    held = rows_with_cluster(function, levels[0])
    size = check_integer(function, "size", size, len(held))
    generator = np.random.Generator(np.random.Philox(key=as_seed(function, random_state)))
    budgets = _budgets(function, levels, held, size, generator)
    return _pick(levels[0], held, budgets, generator.random(n) if order is None else order)


def as_labels(function: str, labels: Any) -> NDArray[np.int64]:
    """Whole numbers, one per row; some may be negative."""
    array = as_numpy(function, labels, "labels")
    if array.dtype.kind not in "iu" or array.ndim != 1 or not len(array):
        raise ValueError(
            f"{function}: labels must be whole numbers, one per row; got {array.dtype} of shape "
            f"{array.shape}. Pass labels_ of an estimator."
        )
    return array.astype(np.int64)


def rows_with_cluster(function: str, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows whose label is not negative; there must be one."""
    held = np.flatnonzero(labels >= 0)
    if not len(held):
        raise ValueError(
            f"{function}: labels must give a row a cluster, numbered from 0; got only negative numbers. "
            "Pass labels_ of a fit that found clusters."
        )
    return held


def _as_levels(function: str, labels: Any) -> list[NDArray[np.int64]]:
    several = isinstance(labels, (list, tuple)) and len(labels) > 0 and np.ndim(labels[0]) == 1
    levels = [as_labels(function, part) for part in (labels if several else [labels])]
    lengths = {len(level) for level in levels}
    if len(lengths) > 1:
        raise ValueError(
            f"{function}: labels must have one number per row at every level; got "
            f"{shown(sorted(lengths))} rows. "
            "Pass the levels of one hierarchy."
        )
    return levels


def _budgets(
    function: str,
    levels: list[NDArray[np.int64]],
    held: NDArray[np.int64],
    size: int,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Rows to draw of each finest cluster."""
    budget = np.array([size])
    above = np.zeros(len(levels[0]), np.int64)  # the cluster above of each row; at first all rows are one
    for depth in range(len(levels) - 1, -1, -1):
        own = levels[depth]
        count = int(own[held].max()) + 1
        sizes = np.bincount(own[held], minlength=count)
        parent = np.zeros(count, np.int64)
        parent[own[held]] = above[held]
        if (parent[own[held]] != above[held]).any():
            raise ValueError(
                f"{function}: labels must be levels of one hierarchy, the finest first; got a cluster of "
                f"level {depth} whose rows lie in two clusters of the level above. Pass labels_ of one "
                "HierarchicalKMeans."
            )
        given = np.zeros(count, np.int64)
        children = np.argsort(parent, kind="stable")
        starts = np.searchsorted(parent[children], np.arange(len(budget) + 1))
        for group in np.flatnonzero(budget):
            part = children[starts[group] : starts[group + 1]]
            given[part] = fill_evenly(sizes[part], int(budget[group]), generator)
        budget, above = given, own
    return budget


def _pick(
    labels: NDArray[np.int64], held: NDArray[np.int64], budgets: NDArray[np.int64], order: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The first rows of each cluster in an order, rising."""
    return held[ranks_within(labels[held], order[held]) < budgets[labels[held]]]


def ranks_within(labels: NDArray[Any], order: NDArray[np.float64]) -> NDArray[np.int64]:
    """The place of each row among those of its label, 0 for the lowest in the order, ties by position."""
    sequence = np.lexsort((np.arange(len(labels)), order, labels))
    counts = np.bincount(labels)
    ranks = np.empty(len(labels), np.int64)
    ranks[sequence] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks
