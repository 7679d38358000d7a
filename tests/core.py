"""The core as tests call it: plain arguments, with contexts and prepared rows made on the way.

Names that are not here are those of the extension. Threads and the function that messages name stand last, as
tests care least about them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from latom import _core

kernels = _core.kernels


def __getattr__(name: str) -> Any:
    return getattr(_core, name)


def context(function: str = "test", n_threads: int = 0, seed: int = 0) -> Any:
    return _core.Context(function, n_threads, seed)


def rows(X: Any, storage: str = "", name: str = "X", function: str = "test", n_threads: int = 0) -> Any:
    """X prepared; what is prepared already stays."""
    if X is None or isinstance(X, _core.Rows):
        return X
    prepared = _core.prepare(context(function, n_threads), X, storage, name)
    assert prepared is not None, "the columns of CSR rows must be sorted and distinct"
    return prepared


class Lloyd:
    """_core.Lloyd on arrays."""

    def __init__(
        self, X: Any, weights: Any, metric: str, n_threads: int = 0, function: str = "Lloyd", **switches: Any
    ) -> None:
        self._function, self._threads = function, n_threads
        made = context(function, n_threads)
        self._core = _core.Lloyd(made, rows(X, "", "X", function), weights, metric, **switches)

    def set_centers(self, centers: Any, normalize: bool) -> None:
        self._core.set_centers(rows(centers, "", "centers", self._function), normalize)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)


class AtomIndex:
    """_core.AtomIndex, told of rows as arrays."""

    def __init__(
        self,
        atoms: Any,
        bias: Any = None,
        metric: str = "dot",
        screen: str = "auto",
        n_threads: int = 0,
        function: str = "AtomIndex",
        pairs: str = "auto",
    ) -> None:
        self._core = _core.AtomIndex(context(function, n_threads), atoms, bias, metric, screen, pairs)

    def pack(self, n_threads: int = 0, function: str = "pack") -> None:
        self._core.pack(context(function, n_threads))

    def topk(
        self,
        X: Any,
        storage: str,
        k: int,
        activation: str = "identity",
        n_threads: int = 0,
        function: str = "topk",
    ) -> Any:
        return self._core.topk(context(function, n_threads), rows(X, storage, "X", function), k, activation)

    def topk_without(
        self, X: Any, storage: str, k: int, indptr: Any, indices: Any, n_threads: int = 0
    ) -> Any:
        made = context("topk", n_threads)
        return self._core.topk_without(made, rows(X, storage, "X"), k, indptr, indices)

    def above(self, X: Any, storage: str, threshold: Any, n_threads: int = 0, function: str = "above") -> Any:
        at = np.atleast_1d(np.asarray(threshold, np.float64))
        return self._core.above(context(function, n_threads), rows(X, storage, "X", function), at)


class SparseProducts:
    """Products of prepared CSR rows with factors; rows_per_block: of the transpose, 0 for its own choice."""

    def __init__(self, X: Any, rows_per_block: int = 0, n_threads: int = 0, function: str = "X") -> None:
        self._rows, self._block = rows(X, "", "X", function, n_threads), rows_per_block
        made = context(function, n_threads)
        self.norm2, self.non_negative = self._rows.norm2(made), self._rows.non_negative(made)

    def times(self, F: Any, out: Any = None, n_threads: int = 0, function: str = "times") -> Any:
        return _core.multiply(context(function, n_threads), self._rows, F, out)

    def transposed_times(
        self, W: Any, out: Any = None, n_threads: int = 0, function: str = "transposed_times"
    ) -> Any:
        made = context(function, n_threads)
        if not self._block:
            return _core.multiply_transposed(made, self._rows, W, out)
        product = kernels.transposed_product(made, self._rows, W, self._block)
        if out is None:
            return product
        out[...] = product
        return out

    def kullback_step(
        self,
        A: Any,
        F: Any,
        sums: Any,
        by_columns: bool,
        l1: float = 0.0,
        l2: float = 0.0,
        n_threads: int = 0,
        function: str = "kullback_step",
    ) -> Any:
        return _core.kullback_step(context(function, n_threads), self._rows, A, F, sums, by_columns, l1, l2)


def gram(V: Any, n_threads: int = 0) -> Any:
    return _core.gram(context("gram", n_threads), V)


def column_sums(V: Any, n_threads: int = 0) -> Any:
    return _core.column_sums(context("column_sums", n_threads), V)


def coordinate_sweep(
    G: Any,
    P: Any,
    X: Any,
    l1: float = 0.0,
    sweeps: int = 1,
    inner_tol: float = 0.0,
    out: Any = None,
    n_threads: int = 0,
) -> Any:
    made = context("coordinate_sweep", n_threads)
    return _core.coordinate_sweep(made, G, P, X, l1, sweeps, inner_tol, out)


def solve_rows(
    X: Any,
    H: Any,
    G: Any,
    curvature: float,
    P: Any,
    W: Any,
    sweeps: int = 1,
    inner_tol: float = 0.0,
    n_threads: int = 0,
) -> float:
    made = context("solve_rows", n_threads)
    return _core.solve_rows(made, X, H, G, curvature, P, W, sweeps, inner_tol)


def sweep_masked(
    G: Any,
    l2: float,
    F: Any,
    indptr: Any,
    indices: Any,
    observed: bool,
    P: Any,
    X: Any,
    l1: float = 0.0,
    sweeps: int = 1,
    inner_tol: float = 0.0,
    out: Any = None,
    n_threads: int = 0,
) -> Any:
    made = context("sweep_masked", n_threads)
    return _core.sweep_masked(made, G, l2, F, indptr, indices, observed, P, X, l1, sweeps, inner_tol, out)


def extrapolate(X: Any, old: Any, beta: float, n_threads: int = 0) -> None:
    _core.extrapolate(context("extrapolate", n_threads), X, old, beta)


def keep_largest(X: Any, k: int, columns: bool = False, n_threads: int = 0) -> Any:
    return _core.keep_largest(context("keep_largest", n_threads), X, k, columns)


def multiply_sparse(X: Any, indptr: Any, indices: Any, values: Any, n_threads: int = 0) -> Any:
    return _core.multiply_sparse(context("multiply_sparse", n_threads), X, indptr, indices, values)


def solve_columns(G: Any, B: Any, n_threads: int = 0, function: str = "solve_columns") -> None:
    _core.solve_columns(context(function, n_threads), G, B)


def refit_supports(G: Any, B: Any, H: Any, n_threads: int = 0) -> Any:
    return _core.refit_supports(context("refit_supports", n_threads), G, B, H)


def fold_center(atoms: Any, center: Any, bias: Any = None, n_threads: int = 0) -> Any:
    return _core.fold_center(context("fold_center", n_threads), atoms, center, bias)


def kmeans_plusplus(
    X: Any, m: int, weights: Any, metric: str, seed: int, n_threads: int, function: str, **plan: Any
) -> Any:
    existing = rows(plan.pop("existing", None), "", "existing_centers", function)
    made = context(function, n_threads, seed)
    return _core.kmeans_plusplus(made, rows(X), m, weights, metric, existing=existing, **plan)


def afkmc2(
    X: Any, m: int, chain: int, weights: Any, metric: str, seed: int, n_threads: int, function: str
) -> Any:
    return _core.afkmc2(context(function, n_threads, seed), rows(X), m, chain, weights, metric)


def parallel_candidates(
    X: Any,
    m: int,
    amount: float,
    rounds: int,
    weights: Any,
    metric: str,
    seed: int,
    n_threads: int,
    function: str,
) -> Any:
    made = context(function, n_threads, seed)
    return _core.parallel_candidates(made, rows(X), m, amount, rounds, weights, metric)


def coreset(
    X: Any, size: int, rough: int, weights: Any, metric: str, seed: int, n_threads: int, function: str
) -> Any:
    return _core.coreset(context(function, n_threads, seed), rows(X), size, rough, weights, metric)
