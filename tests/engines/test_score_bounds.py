"""The inequality of csrc/engines/product_select/row_block.h, on atoms designed against its roundings.

score_bounds gives what the screen claims of every pair: lower <= S <= upper, in screen units. S is computed
exactly, as a fraction or by math.fsum. And topk is asked for near ties, where a wrong discard shows.
"""

from __future__ import annotations

import math
from fractions import Fraction

import core
import numpy as np
import pytest
from oracle import topk_model


def last_bit(screen, d):
    """Of the screen's numbers at 1, in a row of d such ones."""
    return 2.0 ** (np.frexp(np.sqrt(d))[1] - 15) if screen == "int16" else 2.0**-7


def screens():
    return core.kernels.tile_shape()[2]


def bounds(X, W, screen, factor=(), bias=(), magnitude=False):
    X, W = np.ascontiguousarray(X), np.ascontiguousarray(W)
    lower, upper, unit = core.kernels.score_bounds(X, W, list(factor), list(bias), screen, magnitude)
    assert not np.isnan(lower).any(), "a pair has no bounds"
    return lower.astype(np.float64), upper.astype(np.float64), unit


def exact_unit(X, W, unit, factor=None, bias=None):
    """unit_i (factor_j <x_i, w_j> + bias_j): of float32 rows, with one rounding a sum and one a factor."""
    out = np.empty((len(X), len(W)))
    X, W = X.astype(np.float64), W.astype(np.float64)
    for i, x in enumerate(X):
        for j, w in enumerate(W):
            terms = x * w  # of float32: exact
            s = math.fsum(terms) * (1 if factor is None else factor[j])
            out[i, j] = math.fsum([s * unit[i], 0 if bias is None else bias[j] * unit[i]])
    return out


def just(value, side, dtype):
    """value, or a neighbor of it in dtype."""
    value = value.astype(dtype)
    return np.nextafter(value, np.copysign(np.inf, side).astype(dtype)) if side else value


def aligned(rng, n, m, d, screen, side=-1, dtype=np.float32):
    """Numbers beside midpoints, all rounded the same way; atoms parallel to what that leaves."""
    if screen == "int8":  # units of the largest number's 127th
        X = just(2 * rng.integers(32, 63, (n, d)) + 0.5, side, dtype)
        W = just(2 * rng.integers(32, 63, (m, 1)) + 0.5 * np.ones((m, d)), side, dtype)
        X[:, 0] = W[:, 0] = 127
        sign = rng.choice([-1, 1], d)
        return X * sign, W * sign
    odd, ulp = 2 * rng.integers(0, 64, (n, d)), last_bit(screen, d)
    X = just(1 + ulp * (odd * rng.integers(0, 2) + 0.5), side, dtype)
    W = just(1 + ulp * (2 * rng.integers(0, 2, (m, 1)) + 0.5) * np.ones((m, d)), side, dtype)
    sign = rng.choice([-1, 1], d)
    return X * sign, W * sign


def adversarial(rng, n, m, d, screen, dtype=np.float32):
    """(name, X [n, d], W [m, d])"""
    for side in (-1, 0, 1):
        yield f"aligned {side}", *aligned(rng, n, m, d, screen, side, dtype)
    X, W = aligned(rng, n, m, d, screen)
    yield "residuals along x only", X, (np.sign(X[:1]) * np.ones((m, 1))).astype(dtype)
    scale = 2.0 ** np.where(np.arange(d) % 2, 0, -rng.integers(1, 40, d))
    yield "huge and tiny in turn", X * scale, W / scale
    yield "huge and tiny together", X * scale, W * scale
    pairs = np.where(np.arange(d) % 2, 1, -1)
    yield "cancelling pairs", np.abs(X), np.abs(W) * pairs
    yield "cancelling but one", np.abs(X) * np.where(np.arange(d) == d // 2, 3, 1), np.abs(W) * pairs
    yield "subnormal", X * 1e-42, W * 1e-42
    yield "below 2^-60 of the length", np.where(np.arange(d) == 0, 1, 2.0**-61) * X, W
    yield (
        "many below 2^-60",
        np.where(np.arange(d) == 0, 1, just(np.full(d, 2.0**-60), -1, dtype)) * np.sign(X),
        W,
    )
    spread = 10.0 ** rng.uniform(-12, 12, (n, d))
    yield "all sizes", X * spread, W * 10.0 ** rng.uniform(-12, 12, (m, d))
    yield "ordinary", rng.standard_normal((n, d)), rng.standard_normal((m, d))
    yield (
        "constant",
        np.full((n, d), 1 + 2.0**-12),
        np.full((m, d), 1 + 2.0**-13),
    )  # float32 sums lose the same way


@pytest.mark.parametrize("magnitude", [False, True])
def test_no_pair_leaves_its_bounds(isa, magnitude, rng):
    for screen in screens():
        for d in (1, 2, 7, 64, 301):
            for name, X, W in adversarial(rng, 20, 40, d, screen):
                X, W = X.astype(np.float32), W.astype(np.float32)
                lower, upper, unit = bounds(X, W, screen, magnitude=magnitude)
                exact = exact_unit(X, W, unit)
                exact = np.abs(exact) if magnitude else exact
                assert (lower <= exact).all(), (name, d, screen)
                assert (exact <= upper).all(), (name, d, screen)


def test_no_pair_leaves_its_bounds_with_factors_and_biases(isa, rng):
    for screen in screens():
        for d in (2, 33):
            for name, X, W in adversarial(rng, 15, 40, d, screen):
                X, W = X.astype(np.float32), W.astype(np.float32)
                for bias in (
                    np.zeros(40),
                    rng.standard_normal(40) * 1e3,
                    rng.standard_normal(40) * 10.0 ** rng.uniform(-70, 3, 40),
                    -(X[0].astype(float) @ W.astype(float).T),
                    rng.standard_normal(40) * 10.0 ** rng.uniform(-90, -30, 40),
                ):
                    for factor in (None, rng.standard_normal(40) * 10.0 ** rng.uniform(-9, 9, 40)):
                        for scale in (np.float32(1), np.float32(1e-25)):
                            x = X * scale
                            lower, upper, unit = bounds(
                                x, W, screen, factor if factor is not None else (), bias
                            )
                            exact = exact_unit(x, W, unit, factor, bias)
                            # Another rounding of a float64 or two, of terms that may cancel.
                            slack = 2.0**-50 * unit[:, None] * np.abs(bias)
                            assert (lower - slack <= exact).all(), (name, d, scale)
                            assert (exact <= upper + slack).all(), (name, d, scale)


def test_float64_rows_in_fractions(isa, rng):
    for screen in screens():
        for name, X, W in adversarial(rng, 4, 6, 24, screen, np.float64):
            for scale in (1.0, 1e-120, 1e120):
                X, W = (X * scale).astype(np.float64), W.astype(np.float64)
                lower, upper, unit = bounds(X, W, screen)
                for i in range(len(X)):
                    for j in range(len(W)):
                        s = sum(
                            Fraction(a) * Fraction(b) for a, b in zip(X[i], W[j], strict=True)
                        ) * Fraction(unit[i])
                        assert Fraction(lower[i, j]) <= s <= Fraction(upper[i, j]), (name, scale)


def test_the_bound_is_reached(isa):
    """It is not vacuous: residuals that lie along the other vector make an error close to what is claimed."""
    rng = np.random.default_rng(1)
    for screen in screens():
        for d in (1, 16, 301):
            if screen == "int8" and d == 1:
                continue  # the largest number is not rounded
            if screen != "float32":
                X, W = (v.astype(np.float32) for v in aligned(rng, 30, 30, d, screen))
                claim = 1.5  # times the worst error
            else:
                X = W = np.full((3, d), 1 + 2.0**-24 - 2.0**-40)  # float64 rows, rounded to float32
                claim = 16 + d  # and a bound for d roundings, of which chance makes most cancel
            lower, upper, unit = bounds(X, W, screen)
            worst = np.abs(exact_unit(X, W, unit) - (lower + upper) / 2).max()
            claimed = ((upper - lower) / 2).max()
            assert worst <= claimed <= claim * worst, (screen, d, claimed / worst)


def near_ties(rng, n, m, d, turn, screen):
    """Rows, and atoms of which many differ by the last bits of a few numbers, beside midpoints."""
    step = np.float32(2.0**-23)
    kind = turn % 6
    X, W = aligned(rng, n, 1, d, screen, (-1, 0, 1)[turn % 3])
    if kind == 1:
        X = X * 2.0 ** rng.integers(-20, 20, (n, 1))
    if kind == 2:
        X, W = rng.standard_normal((n, d)), rng.standard_normal((1, d))
    if kind == 3:
        X = X * np.where(np.arange(d) % 2, 1, -1)
    if kind == 4:
        X = X * np.where(np.arange(d) % 2, 1, 2.0**-12)
    if kind == 5:
        X = X * np.float32(2.0**-130)
    atoms = np.tile(W.astype(np.float32), (m, 1))
    few = rng.random((m, d)) < 3 / d
    atoms[few] *= 1 + step * rng.integers(-3, 4, few.sum()).astype(np.float32)
    # Half of the atoms round up where the others round down: the screen sees them apart, the truth does not.
    odd = rng.random(m) < 0.5
    moved = rng.integers(0, d, m)
    atoms[odd, moved[odd]] = np.nextafter(atoms[odd, moved[odd]], np.float32(np.inf))
    away = rng.random(m) < 0.7  # and most are out of the running, so that rows are not overflowed
    atoms[away] *= rng.uniform(0.2, 1.2, (away.sum(), 1)).astype(np.float32)
    return X.astype(np.float32), atoms


def uneven_errors(rng, n, m, d, turn, screen):
    """Errors of some atoms only: a panel's bound must be that of its worst atom."""
    ulp = last_bit(screen, d)
    if (
        turn % 3 == 2
    ):  # the row is rounded down where the best atoms look, up where the others do; some are zero
        best, look = rng.random(m) < 0.2, np.arange(d) % 2 == 0
        up = np.nextafter(np.float32(1 + ulp / 2), np.float32(2))
        row = np.where(look, np.nextafter(np.float32(1 + ulp / 2), np.float32(0)), up)
        atoms = np.where(best[:, None] == look, 1.0, 0.0) * (rng.random((m, 1)) < 0.5)
        bias = np.where(best, 2.0**-18 * d, 0.0)
        return np.tile(row, (n, 1)).astype(np.float32), atoms.astype(np.float32), bias
    X = np.ones((n, d)) * 2.0 ** rng.integers(-3, 3, (n, 1))
    atoms = np.ones((m, d))
    atoms[:, : 1 + d // 4] += ulp  # exact, and beside the best ones in their score
    best = rng.random(m) < 0.2
    atoms[best] = np.nextafter(np.float32(1 + ulp / 2), np.float32(0)) + 2.0**-23 * rng.integers(
        -9, 0, (best.sum(), 1)
    )
    if turn % 2:
        return X.astype(np.float32), atoms.astype(np.float32), None
    # And biases that only float64 tells apart, beside some without.
    bias = np.where(rng.random(m) < 0.5, 1 + 2.0**-28 * rng.integers(-9, 9, m), 0.0)
    return (0 * X).astype(np.float32), atoms.astype(np.float32), bias


def test_near_ties_are_not_lost():
    """3 10^5 rows. In the best variants, where a wrong discard changes the answer."""
    rng = np.random.default_rng(7)
    before, rows, overflowed_rows, turn = core.isa(), 0, 0, 0
    try:
        while rows < 300_000:
            n, d, m = 2000, int(rng.choice([3, 8, 16, 31])), int(rng.choice([120, 200, 300]))
            name = core.available_isas()[-1 - turn // 2 % 2 * (len(core.available_isas()) > 1)]
            core.set_isa(name)
            screen = screens()[turn // 4 % len(screens())]
            if turn % 5 == 4:
                X, W, bias = uneven_errors(rng, n, m, d, turn, screen)
            else:
                X, W = near_ties(rng, n, m, d, turn, screen)
                bias = rng.choice([0, 2.0**-22, -(2.0**-22)], m) if turn % 4 == 3 else None
            k, activation = int(rng.choice([1, 3, 10])), ("identity", "abs", "relu")[turn % 3]
            values, indices, _, overflowed = core.AtomIndex(W, bias, "dot", screen).topk(
                X, "", k, activation, 2
            )
            expected = topk_model(X, W, k, bias, "dot", activation)
            assert np.array_equal(indices, expected[1]), (turn, name, screen, d, m, k)
            assert np.array_equal(values, expected[0]), (turn, name, screen, d, m, k)
            rows, overflowed_rows, turn = rows + n, overflowed_rows + overflowed, turn + 1
    finally:
        core.set_isa(before)
    assert overflowed_rows < rows / 2, "most rows never met the screen"


def check_pairs(X, screen, factor=(), bias=(), note=""):
    """Bounds from one product for two rows: both sides hold."""
    X = np.ascontiguousarray(X)
    lower, upper, unit = core.kernels.pair_bounds(X, list(factor), list(bias), screen)
    assert not np.isnan(lower).any(), f"{note}: a pair has no bounds"
    exact = exact_unit(X, X, unit, factor if len(factor) else None, bias if len(bias) else None)
    slack = 2.0**-50 * unit[:, None] * np.abs(bias) if len(bias) else 0
    assert (lower - slack <= exact).all(), note
    assert (exact <= upper + slack).all(), note
    plain = core.kernels.score_bounds(X, X, list(factor), list(bias), screen, False)
    assert np.array_equal(plain[2], unit), note
    assert ((upper - lower) <= (plain[1] - plain[0]) * (1 + 1e-5) + 1e-29).all(), (
        f"{note}: wider than by two products"
    )


def test_no_pair_of_rows_leaves_its_bounds(isa, rng):
    for screen in screens():
        for d in (1, 2, 7, 64):
            for name, X, W in adversarial(rng, 37, 40, d, screen):
                check_pairs(np.concatenate([X, W]).astype(np.float32), screen, note=(name, d, screen))


def test_no_pair_of_rows_leaves_its_bounds_with_factors_and_biases(isa, rng):
    for screen in screens():
        for name, X, W in adversarial(rng, 30, 45, 33, screen):
            X = np.concatenate([X, W]).astype(np.float32)
            X[np.abs(X).max(axis=1) < 1e-9] *= np.float32(
                1e12
            )  # biases cannot follow longer factors of scale
            norm2 = (X.astype(float) ** 2).sum(axis=1)
            for bias in (
                -norm2 / 2,
                rng.standard_normal(75) * 1e3,
                rng.standard_normal(75) * 10.0 ** rng.uniform(-70, 3, 75),
            ):
                for factor in ((), rng.standard_normal(75) * 10.0 ** rng.uniform(-9, 9, 75)):
                    check_pairs(X, screen, factor, bias, note=(name, screen))
