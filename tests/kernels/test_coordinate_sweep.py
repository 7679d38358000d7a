"""coordinate_sweep and gram: the order of their sums, to the bit, in every variant."""

from __future__ import annotations

from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

SHAPES = [(1, 1), (5, 3), (31, 8), (32, 9), (33, 16), (40, 17), (70, 24), (64, 40), (300, 5)]


def sweep(
    G: NDArray[np.float64], P: NDArray[Any], X: NDArray[Any], l1: float = 0.0
) -> tuple[NDArray[Any], float]:
    """One sweep as csrc/kernels/coordinate_sweep.inl.h states it, for all rows at once."""
    T, k = P.dtype.type, P.shape[1]
    width = -(-k // 8) * 8
    x, p = np.zeros((width, len(X)), T), np.zeros((width, len(X)), T)
    x[:k], p[:k] = X.T, P.T
    if l1:
        p[:k] -= T(l1)
    g = np.zeros((width, width), T)
    g[:k, :k] = G.astype(T)
    with np.errstate(divide="ignore"):
        inverse = np.where(np.diag(G) > 0, 1 / np.diag(G), 0).astype(T)
    inverse = np.append(inverse, np.zeros(width - k, T))
    violation = 0.0
    for block in range(0, width, 8):
        total = np.zeros((8, len(X)), T)
        for s in range(width):
            total = total + g[s, block : block + 8, None] * x[s]
        for t in range(8):
            gradient = total[t] - p[block + t]
            before = x[block + t].copy()
            x[block + t] = np.maximum(0, before - gradient * inverse[block + t])
            met = np.where(before > 0, np.abs(gradient), np.maximum(0, -gradient))
            violation += float(met.sum(dtype=np.float64))
            change = x[block + t] - before
            for u in range(t + 1, 8):
                total[u] = total[u] + g[block + t, block + u] * change
    return x[:k].T, violation


def problem(rng: np.random.Generator, dtype: str, n: int, k: int) -> tuple[NDArray[Any], ...]:
    V, X = rng.random((60, k)).astype(dtype), rng.random((n, k)).astype(dtype)
    X[X < 0.4] = 0
    return V, (rng.random((n, 60)).astype(dtype) @ V), X


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_a_sweep_to_the_bit(isa: str, dtype: str, n: int, k: int, rng: np.random.Generator) -> None:
    V, P, X = problem(rng, dtype, n, k)
    G = core.gram(V)
    for l1 in (0.0, 0.3):
        expected, met = sweep(G, P, X, l1)
        got = X.copy()
        violation, cross = core.coordinate_sweep(G, P, got, l1)
        assert plain.bits(got) == plain.bits(expected)
        assert np.isclose(violation, met, rtol=1e-6)
        shifted = P - P.dtype.type(l1)
        assert np.isclose(cross, (shifted.astype(np.float64) * got).sum(), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_where_it_writes_and_who_sweeps_do_not_matter(isa: str, dtype: str, rng: np.random.Generator) -> None:
    V, P, X = problem(rng, dtype, 700, 12)
    G = core.gram(V)
    expected = X.copy()
    stats = core.coordinate_sweep(G, P, expected, 0.1, 3, 0.05, None, 1)
    before = X.copy()
    for threads in (2, 5):
        out = np.full_like(X, np.nan)
        assert core.coordinate_sweep(G, P, X, 0.1, 3, 0.05, out, threads) == stats
        assert plain.bits(out) == plain.bits(expected)
    onto = P.copy()
    core.coordinate_sweep(G, onto, X, 0.1, 3, 0.05, onto, 2)
    assert plain.bits(onto) == plain.bits(expected)
    assert plain.bits(X) == plain.bits(before)


def test_several_sweeps_are_single_sweeps_in_a_row(isa: str, rng: np.random.Generator) -> None:
    V, P, X = problem(rng, "float32", 50, 7)
    G = core.gram(V)
    one, three = X.copy(), X.copy()
    for _ in range(3):
        core.coordinate_sweep(G, P, one)
    core.coordinate_sweep(G, P, three, 0.0, 3, 0.0)
    assert plain.bits(one) == plain.bits(three)
    stopped = X.copy()  # everything is enough: the first sweep is the last
    core.coordinate_sweep(G, P, stopped, 0.0, 3, 1e9)
    second = X.copy()
    core.coordinate_sweep(G, P, second, 0.0, 2, 0.0)
    assert plain.bits(stopped) == plain.bits(second)


def test_a_coordinate_without_curvature_stays(isa: str) -> None:
    G = np.array([[2.0, 0], [0, 0]])
    X = np.array([[1.0, 3.0]])
    core.coordinate_sweep(G, np.array([[8.0, -5.0]]), X)
    assert X.tolist() == [[4.0, 3.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (63, 5), (64, 16), (65, 17), (257, 33), (5000, 20)])
def test_gram(dtype: str, n: int, k: int, rng: np.random.Generator) -> None:
    V = (rng.standard_normal((n, k)) * 10.0 ** rng.integers(-3, 3, (n, 1))).astype(dtype)
    results = plain.on_every_isa(lambda: plain.bits(core.gram(V, 1)) + plain.bits(core.gram(V, 3)))
    assert len(set(results)) == 1
    assert results[0][: len(results[0]) // 2] == results[0][len(results[0]) // 2 :]
    wide = V.astype(np.float64)
    got = core.gram(V)
    assert (got == got.T).all()
    assert np.allclose(got, wide.T @ wide, rtol=1e-12, atol=1e-12 * np.abs(wide.T) @ np.abs(wide))


def test_column_sums(rng: np.random.Generator) -> None:
    V = rng.random((9000, 7), dtype=np.float32)
    results = plain.on_every_isa(lambda: [plain.bits(core.column_sums(V, threads)) for threads in (1, 3)])
    assert len({b for pair in results for b in pair}) == 1
    assert np.allclose(core.column_sums(V), V.sum(axis=0, dtype=np.float64), rtol=1e-13)


def test_gram_adds_exact_products_of_float32(isa: str) -> None:
    V = np.array([[1 + 2.0**-23], [1]], np.float32)
    assert core.gram(V)[0, 0] == (1 + 2.0**-23) ** 2 + 1
    V64 = np.array([[1 + 2.0**-52], [1.0]])
    assert core.gram(V64)[0, 0] == np.float64(1 + 2.0**-52) ** 2 + 1


def test_wrong_arguments_are_refused() -> None:
    G, P = np.eye(3), np.ones((4, 3))
    for bad in (
        (np.eye(2), P, P.copy()),
        (G, P, np.ones((3, 3))),
        (G, P, P.copy(), 0.0, 1, 0.0, np.ones((4, 2))),
    ):
        with pytest.raises(ValueError, match="coordinate_sweep"):
            core.coordinate_sweep(*bad)
    read_only = P.copy()
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match=r"writeable|read-only"):
        core.coordinate_sweep(G, P, read_only)
