"""A tree of clusters that is grown from the top until no leaf holds too many rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from latom._base.arrays import Matrix
from latom._base.rows import Rows
from latom.cluster.assign import assign_rows


@dataclass
class Node:
    """Rows of a cluster; where it was split, the centers and nodes below it."""

    rows: NDArray[np.int64]
    path: tuple[int, ...]
    centers: Matrix = None
    below: list[int] = field(default_factory=list)


class Leaves:
    """The nodes of a tree, each after the one above it, in the order in which they were split.

    Parameters
    ----------
    nodes : list
    """

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._leaf = [at for at, node in enumerate(nodes) if not node.below]

    @classmethod
    def grow(cls, rows: Rows, most: int, cluster: Callable[[Matrix], Any]) -> Leaves:
        """Split rows by `cluster`, which fits an estimator, until a leaf has at most so many.

        Rows that a split leaves together, as equal ones, are cut in the order in which they stand.
        """
        nodes = [Node(np.arange(len(rows)), ())]
        at = 0
        while at < len(nodes):
            node = nodes[at]
            if len(node.rows) > most:
                parts = cls._split(rows, node, most, cluster)
                for child, part in enumerate(parts):
                    node.below.append(len(nodes))
                    nodes.append(Node(part, (*node.path, child)))
            at += 1
        return cls(nodes)

    @staticmethod
    def _split(
        rows: Rows, node: Node, most: int, cluster: Callable[[Matrix], Any]
    ) -> list[NDArray[np.int64]]:
        with warnings.catch_warnings():  # equal rows make fewer clusters, which are all that can be had
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = cluster(rows[node.rows])
        used, labels = np.unique(model.labels_, return_inverse=True)
        if len(used) < 2:
            return [node.rows[first : first + most] for first in range(0, len(node.rows), most)]
        node.centers = model.cluster_centers_[used]
        return [node.rows[labels == child] for child in range(len(used))]

    def codes(self, n: int) -> NDArray[np.int32]:
        """The path to the leaf of each row, -1 beyond it."""
        depth = max(1, *(len(node.path) for node in self._nodes))
        codes = np.full((n, depth), -1, np.int32)
        for at in self._leaf:
            node = self._nodes[at]
            codes[node.rows, : len(node.path)] = node.path
        return codes

    def labels(self, n: int) -> NDArray[np.int32]:
        """The leaf of each row."""
        labels = np.empty(n, np.int32)
        for leaf, at in enumerate(self._leaf):
            labels[self._nodes[at].rows] = leaf
        return labels

    def centers(self, rows: Rows) -> Matrix:
        """The mean of each leaf's rows."""
        means = []
        for at in self._leaf:
            part = rows[self._nodes[at].rows]
            mean = part.mean(axis=0, dtype=np.float64)
            means.append(np.asarray(mean).reshape(1, -1).astype(rows.dtype))
        stacked = np.concatenate(means)
        return sp.csr_array(stacked) if rows.sparse else stacked

    def descend(self, name: str, rows: Rows, metric: str, n_threads: int | None) -> NDArray[np.int32]:
        """The leaf that each row comes to from the top; of rows that were cut by position, the first."""
        leaf_of = {at: leaf for leaf, at in enumerate(self._leaf)}
        labels = np.empty(len(rows), np.int32)
        waiting = [(0, np.arange(len(rows)))]
        while waiting:
            at, some = waiting.pop()
            node = self._nodes[at]
            if not node.below:
                labels[some] = leaf_of[at]
            elif node.centers is None:
                waiting.append((node.below[0], some))
            elif len(some):
                part = Rows(name, rows[some])
                children = assign_rows(name, part, node.centers, metric, n_threads)[0]
                waiting += [(below, some[children == child]) for child, below in enumerate(node.below)]
        return labels
