"""Alternating solvers for non-negative factorization; each iteration is a few calls of the core.

    minimize  ||X - W F^T||^2 / 2 + l1_W |W| + l2_W ||W||^2 / 2 + l1_H |F| + l2_H ||F||^2 / 2,   W, F >= 0

"hals" and "cd" sweep over coordinates (latom/factorize.h). With P = X^T W and G = W^T W of the half-step that
renews F, the loss costs next to nothing: ||X||^2 / 2 - <P, F> + <G, F^T F> / 2, in float64.

A solver is a generator: it yields the product with X that it needs, is sent that product, and returns the
factors. So runs from several starts advance side by side, and their products are made at once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.history import Descent
from latom.factorize.missing import Listed
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.product_in_parts import product_in_parts

Array = NDArray[Any]
EPSILON = 2.0**-23  # what multiplicative steps take for a denominator of 0


@dataclass
class Penalties:
    """What is added to the loss, a coordinate each."""

    l1_W: float = 0.0
    l1_H: float = 0.0
    l2_W: float = 0.0
    l2_H: float = 0.0

    def of(self, A: Array, l1: float, l2: float, weights: NDArray[np.float64] | None = None) -> float:
        """Penalty of a factor, its rows weighted."""
        if l1 == 0 and l2 == 0:
            return 0.0
        each = np.zeros(len(A))
        if l1:
            each += l1 * A.sum(axis=1, dtype=np.float64)
        if l2:
            each += l2 / 2 * np.einsum("ij,ij->i", A, A, dtype=np.float64)
        return float(each.sum() if weights is None else each @ weights)


class ProductRequest(NamedTuple):
    """X A, or X^T A, wanted by a solver; written to out where that is given."""

    transposed: bool
    A: Array
    out: Array | None = None


Answer = TypeVar("Answer")
Solver = Generator[ProductRequest, Array, Answer]


def side_by_side(products: NonNegativeRows, solvers: Iterable[Solver[Answer]]) -> list[Answer]:
    """What the solvers return. Products that they want at the same time are made at once."""
    found: dict[int, Answer] = {}
    waiting: dict[int, tuple[Solver[Answer], ProductRequest]] = {}

    def go_on(place: int, solver: Solver[Answer], product: Array | None) -> None:
        try:
            waiting[place] = solver, next(solver) if product is None else solver.send(product)
        except StopIteration as end:
            waiting.pop(place, None)
            found[place] = end.value

    for place, solver in enumerate(solvers):
        go_on(place, solver, None)
    while waiting:  # all solvers ask for X A and X^T A by turns
        now = list(waiting.items())
        transposed = now[0][1][1].transposed
        made = products.each([(p.A, p.out) for _, (_, p) in now], transposed)
        for (place, (solver, _)), product in zip(now, made, strict=True):
            go_on(place, solver, product)
    return [found[place] for place in sorted(found)]


class HalfSteps:
    """The two least-squares half-steps of a problem: W with F fixed, and F with W fixed."""

    def __init__(
        self, products: NonNegativeRows, penalties: Penalties, weights: NDArray[np.float64] | None
    ) -> None:
        self.products, self.penalties, self.weights = products, penalties, weights
        norm2 = products.norm2
        self.norm2 = float(norm2.sum() if weights is None else norm2 @ weights)
        self._columns = None if weights is None else weights[:, None].astype(products.dtype)
        self._roots = None if weights is None else np.sqrt(weights)[:, None].astype(products.dtype)

    def of_W(
        self, F: Array, W: Array, sweeps: int, inner_tol: float, out: Array | None
    ) -> Solver[tuple[Array, float]]:
        """Swept W, written to out, and the violation met."""
        P = yield ProductRequest(False, F, out)
        gone = self.products.missing
        listed = None if gone is None else gone.rows
        return self._sweep(F, P, W, self.penalties.l1_W, self.penalties.l2_W, listed, sweeps, inner_tol)[:2]

    def of_F(
        self, W: Array, F: Array, sweeps: int, inner_tol: float, out: Array | None
    ) -> Solver[tuple[Array, float, float]]:
        """Swept F, written to out, the violation met, and the objective with W."""
        weighted, root = W, W
        if self._columns is not None and self._roots is not None:
            weighted, root = W * self._columns, W * self._roots
        P = yield ProductRequest(True, weighted, out)
        gone = self.products.missing
        listed = None if gone is None else gone.columns
        swept, violation, cross, quadratic, G = self._sweep(
            root, P, F, self.penalties.l1_H, self.penalties.l2_H, listed, sweeps, inner_tol
        )
        if listed is None:
            quadratic = float(np.sum(G * backend().gram(self.products.context, swept)))
        objective = self.norm2 / 2 - cross + quadratic / 2
        penalty = self.penalties.of(W, self.penalties.l1_W, self.penalties.l2_W, self.weights)
        return swept, violation, objective + penalty

    def _sweep(
        self,
        V: Array,
        P: Array,
        A: Array,
        l1: float,
        l2: float,
        listed: Listed | None,
        sweeps: int,
        inner_tol: float,
    ) -> tuple[Array, float, float, float, Array]:
        """A swept, in P's memory: (it, violation, <P - l1, it>, its quadratic form where entries miss, G)."""
        context = self.products.context
        G = backend().gram(context, V)
        G.flat[:: len(G) + 1] += l2
        if listed is None:
            violation, cross = backend().coordinate_sweep(context, G, P, A, l1, sweeps, inner_tol, P)
            return P, violation, cross, 0.0, G
        violation, cross, quadratic = backend().sweep_masked(
            context, G, l2, V, *listed, P, A, l1, sweeps, inner_tol, P
        )
        return P, violation, cross, quadratic, G


def coordinate_descent(half: HalfSteps, W: Array, F: Array, run: Descent) -> Solver[tuple[Array, Array]]:
    """One sweep a half-step, as scikit-learn's solver with shuffle=False."""
    W, F, spare, spare_F = _at_lines(W), _at_lines(F), None, None
    while True:
        swept, violation = yield from half.of_W(F, W, 1, 0.0, spare)
        W, spare = swept, W
        swept, more, objective = yield from half.of_F(W, F, 1, 0.0, spare_F)
        F, spare_F = swept, F
        if run.reached(objective, violation + more, factor=F):
            return W, F


def accelerated_hals(half: HalfSteps, W: Array, F: Array, run: Descent) -> Solver[tuple[Array, Array]]:
    """Several sweeps a half-step, factors extrapolated while the loss falls, an iteration undone if it rises.

    Gillis & Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms for nonnegative
    matrix factorization", 2012. Ang & Gillis, "Accelerating nonnegative matrix factorization algorithms
    using extrapolation", 2019.
    """
    n, d = half.products.shape
    k = F.shape[1]
    sweeps_W, sweeps_F = (_sweeps(half.products, rows, k) for rows in (n, d))
    grow, grow_most, shrink = 1.05, 1.01, 1.5
    beta, most = 0.5, 1.0
    best = np.inf
    kept, kept_F = _at_lines(W), _at_lines(F)  # what is returned
    last, start = _room_at_lines(W), kept_F  # W before extrapolation; F to start from
    spare = _room_at_lines(W)
    spare_F: Array | None = None
    plain = True  # this iteration starts from what is kept and does not extrapolate W
    while True:
        swept, violation = yield from half.of_W(start, kept, sweeps_W, INNER_TOL, spare)
        if plain:
            np.copyto(last, swept)
        else:
            backend().extrapolate(half.products.context, swept, last, beta)
        new_F, more, objective = yield from half.of_F(last, start, sweeps_F, INNER_TOL, spare_F)
        risen = objective > best
        if risen:
            start, spare_F = kept_F, new_F
            last, spare = swept, last
            most, beta = beta, beta / shrink
        else:
            best = objective
            kept, last, spare = last, swept, kept
            spare_F = None if start is kept_F else start
            backend().extrapolate(half.products.context, new_F, kept_F, beta)
            kept_F, start = new_F, kept_F
            most = min(1.0, grow_most * most)
            beta = min(most, grow * beta)
        # Where the loss rises without extrapolation, rounding is all that moves it.
        settled = None if not risen else plain
        if run.reached(best, violation + more, settled, kept_F):
            return kept, kept_F
        plain = risen


def _room_at_lines(A: Array) -> Array:
    """Room for A that begins a line of the cache: else each gathered row touches a line more."""
    each = 64 // A.itemsize
    room = np.empty(A.size + each, A.dtype)
    first = -(room.ctypes.data // A.itemsize) % each
    rows: Array = room[first : first + A.size].reshape(A.shape)
    return rows


def _at_lines(A: Array) -> Array:
    """A copy in such room."""
    out = _room_at_lines(A)
    np.copyto(out, A)
    return out


# By measurement: what further sweeps bring takes longer than another product.
INNER_TOL = 0.2  # of a tile's first violation
MOST_SWEEPS = 3


def _sweeps(products: NonNegativeRows, rows: int, k: int) -> int:
    """Sweeps that cost half of a half-step's product. A gathered multiply-add takes as long as 8 swept."""
    product = products.entries * (8 if products.sparse else 1)
    return int(np.clip(1 + product / (2 * rows * k), 1, MOST_SWEEPS))


def solve_W(half: HalfSteps, W: Array, F: Array, run: Descent) -> Array:
    """W alone: the products are made once."""
    p = half.products
    P, G = p.times(F), backend().gram(p.context, F)
    G.flat[:: len(G) + 1] += half.penalties.l2_W
    l1, l2 = half.penalties.l1_W, half.penalties.l2_W
    while True:
        if p.missing is None:
            violation, cross = backend().coordinate_sweep(p.context, G, P, W, l1, 1, 0.0)
            quadratic = float(np.sum(G * backend().gram(p.context, W)))
        else:
            violation, cross, quadratic = backend().sweep_masked(
                p.context, G, l2, F, *p.missing.rows, P, W, l1, 1, 0.0
            )
        if run.reached(float(p.norm2.sum()) / 2 - cross + quadratic / 2, violation):
            return W


def multiplicative(
    half: HalfSteps, W: Array, F: Array, run: Descent, kullback: bool, update_H: bool
) -> Solver[tuple[Array, Array]]:
    """Multiplicative steps for half the squared error or the Kullback-Leibler divergence (Lee & Seung)."""
    p, r = half.products, half.penalties
    constant = p.entropy() if kullback else p.norm2.sum() / 2
    first: float | None = None
    previous = 0.0
    while True:
        # The step that renews W meets the loss of the iteration before; the last such step is thrown away.
        if kullback:
            new_W, logs = p.kullback_step(W, F, False, r.l1_W, r.l2_W)
            sums_W, sums_F = (backend().column_sums(p.context, A) for A in (W, F))
            loss = constant - logs + float(sums_W @ sums_F)
        else:
            P, G = (yield ProductRequest(False, F)), backend().gram(p.context, F)
            loss = constant - _dot(P, W) + float(np.sum(G * backend().gram(p.context, W))) / 2
            new_W = frobenius_step(W, P, G, r.l1_W, r.l2_W)
        objective = loss + r.of(W, r.l1_W, r.l2_W) + r.of(F, r.l1_H, r.l2_H)
        error = np.sqrt(2 * max(loss, 0.0))  # scikit-learn's rule, every ten iterations
        if first is None:
            first = previous = error
        else:
            tenth = len(run.states) % 10 == 9
            settled = run.tol > 0 and tenth and previous - error < run.tol * first
            if run.reached(objective, np.nan, settled, F):
                return W, F
            if tenth:
                previous = error
        W = new_W
        if update_H:
            if kullback:
                F = p.kullback_step(F, W, True, r.l1_H, r.l2_H)[0]
                F[np.finfo(np.float64).eps > F] = 0
            else:
                P = yield ProductRequest(True, W)
                F = frobenius_step(F, P, backend().gram(p.context, W), r.l1_H, r.l2_H)


def frobenius_step(A: Array, P: Array, G: Array, l1: float, l2: float) -> Array:
    """A * P / (A G + l1 + l2 A)."""
    bottom = product_in_parts(A, G.astype(A.dtype))
    if l1:
        bottom += A.dtype.type(l1)
    if l2:
        bottom += A.dtype.type(l2) * A
    bottom[bottom == 0] = EPSILON
    stepped: Array = A * (P / bottom)
    return stepped


def _dot(A: Array, B: Array) -> float:
    return float(np.einsum("ij,ij->", A, B, dtype=np.float64))
