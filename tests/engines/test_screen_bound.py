"""The whole screen: with its error terms, a row's 8-bit bound is never below an atom's true score.

``Index`` states csrc/engines/sparse_select/quantized_index.cpp in numpy, and ``screen`` what
csrc/algorithms/cluster/sparse/sparse_select.inl.h does with it (quantize, look). The kernels
themselves are called.
Atoms and rows are rounded up if neither have a negative entry, else both to nearest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import core
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import plain_kernels as plain
import pytest
from hypothesis import assume, example, given, settings
from numpy.typing import NDArray

SCREEN_SLACK = 2e-6
HEAD_SHARE = 64
Metric = Literal["cosine", "euclidean"]


class Index:
    """Atoms [m, d] at length 1, in units of sigma_t; frequent terms as lines, the others as lists."""

    def __init__(self, atoms: NDArray[Any], non_negative_rows: bool) -> None:
        norm = np.sqrt((atoms.astype(np.float64) ** 2).sum(axis=1))
        inverse = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)
        unit = (atoms * inverse[:, None]).astype(np.float32)
        held = (atoms != 0) & (norm > 0)[:, None]
        self.norm = norm
        self.round_up = non_negative_rows and not (unit < 0).any()

        largest = np.abs(unit).max(axis=0)
        sigma = np.maximum(largest / np.float32(127), np.float32(1e-30))
        self.sigma = np.where(held.any(axis=0), sigma, np.float32(0))
        scaled = unit * np.divide(np.float32(1), self.sigma, out=np.zeros_like(sigma), where=self.sigma > 0)
        rounded = np.rint(scaled)
        if self.round_up:
            rounded += rounded < scaled
        self.q = (np.clip(rounded, -127, 127) * held).astype(np.int8)

        counts = held.sum(axis=0)
        self.heads = np.flatnonzero((counts > 0) & (counts * HEAD_SHARE >= len(atoms)))
        self.line = np.full(atoms.shape[1], -1, np.int32)
        self.line[self.heads] = np.arange(len(self.heads))
        self.slab = plain.slab_of(self.q.T[self.heads].reshape(len(self.heads), len(atoms)))


@dataclass
class Screened:
    """Bounds of one row's scores with all atoms, in screen units."""

    upper: NDArray[np.float32]
    spread: float
    maxima: NDArray[np.float32]
    best: float


def screen_units(norm: float, index: Index, metric: Metric) -> tuple[float, float, float]:
    """Screen score per score, and the factors of the bound's step and bias."""
    if metric == "cosine":
        return 1 / norm, 1.0, 0.0
    top = index.norm.max() or 1.0
    larger = max(top, norm)
    return 1 / (top * larger), norm / larger, top / larger


def screen(index: Index, x: NDArray[Any], metric: Metric, drop: int, residual: bool) -> Screened:
    """Bounds of row x, as SparseSelect::quantize and SparseSelect::look compute them."""
    terms = np.flatnonzero(x)
    norm = math.sqrt((x.astype(np.float64) ** 2).sum())
    u = x[terms].astype(np.float64) * (1 / norm)
    a = np.zeros((len(terms) + 15) // 16 * 16, np.float32)
    a[: len(terms)] = u.astype(np.float32) * index.sigma[terms]
    p, step, abs_sum, rest, dropped = core.kernels.quantize_row(a, index.round_up, drop)
    p = p[: len(terms)].astype(np.int32)

    acc = np.zeros(index.slab.shape[1], np.int32)
    for sign in (-1, 1):  # negative terms first: their sum is negated
        chosen = (index.line[terms] >= 0) & (p * sign > 0)
        line = index.line[terms[chosen]]
        weight = (sign * p[chosen]).astype(np.uint8)
        padding = (0, -len(line) % 4)
        if len(line):
            acc = core.kernels.accumulate(acc, index.slab, np.pad(line, padding), np.pad(weight, padding))
        acc = -acc if sign < 0 else acc
    acc = acc[: len(index.norm)].copy()
    tails = index.line[terms] < 0
    acc += index.q[:, terms[tails]].astype(np.int32) @ p[tails]

    widen = 1 + 1e-4 + 1e-7 * len(terms)
    rounding = SCREEN_SLACK + 4e-7 * 127 * abs_sum
    lost = 127 * dropped
    if residual and drop > 0:
        lost = min(lost, math.sqrt((u[p == 0].astype(np.float64) ** 2).sum()))
    if index.round_up:
        above, below = lost, lost + abs_sum + 127 * rest
    else:
        above = below = lost + 0.5 * abs_sum + 127 * rest
    above, below = above * widen + rounding, below * widen + rounding

    _, step_scale, bias_scale = screen_units(norm, index, metric)
    step32 = np.float32(step) * np.float32(step_scale)
    shift32 = np.float32(above) * np.float32(step_scale)
    scale = bias = None
    if metric == "euclidean":
        relative = index.norm / (index.norm.max() or 1.0)
        scale, bias = relative.astype(np.float32), (-0.5 * relative**2).astype(np.float32)
    best, maxima = core.kernels.block_max(acc, step32, shift32, -np.inf, scale, bias, bias_scale)
    upper = plain.upper_bounds(acc, step32, shift32, -np.inf, scale, bias, bias_scale)
    return Screened(upper, (above + below) * step_scale + 2 * SCREEN_SLACK, maxima, best)


def true_scores(index: Index, atoms: NDArray[Any], x: NDArray[Any], metric: Metric) -> list[float]:
    """Scores of x with all atoms in screen units, summed without error."""
    x = x.astype(np.float64)
    norm = math.sqrt(math.fsum(x * x))
    to_screen = screen_units(norm, index, metric)[0]
    scores = []
    for atom, length in zip(atoms.astype(np.float64), index.norm, strict=True):
        dot = math.fsum(atom * x)
        if metric == "cosine":
            scores.append(dot * to_screen / length if length > 0 else 0.0)
        else:
            scores.append((dot - 0.5 * length**2) * to_screen)
    return scores


def check(atoms: NDArray[Any], x: NDArray[Any], metric: Metric, drop: int, residual: bool) -> None:
    index = Index(atoms, bool((x >= 0).all()))
    truth = np.array(true_scores(index, atoms, x, metric))

    def run() -> Screened:
        return screen(index, x, metric, drop, residual)

    first, *others = plain.on_every_isa(run)
    upper = first.upper.astype(np.float64)
    # Rounding of the Euclidean bias is left to the slack that every use of a bound adds.
    slack = SCREEN_SLACK if metric == "euclidean" else 0.0
    assert np.all(upper + slack >= truth), (upper - truth).min()
    assert np.all(upper - first.spread <= truth), (truth - upper + first.spread).min()
    assert np.array_equal(first.maxima, plain.block_maxima(first.upper))
    assert first.best == first.upper.max()
    for other in others:
        assert plain.bits(other.upper) == plain.bits(first.upper)
        assert other.spread == first.spread


@st.composite
def problems(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[Any]]:
    """A few atoms and a row that is not zero: of any sign or none negative, any magnitude, many zeros."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    low = draw(st.sampled_from([0.0, -1.0]))
    number = st.one_of(
        st.just(0.0),
        st.floats(low, 1.0, width=32),
        st.sampled_from([1.0, low, 0.5, 1e-3, 1 / 127, 63.5 / 127, 1e-20, 1e-38]),
    )
    scale = draw(st.sampled_from([1.0, 1e-15, 1e15]))
    d = draw(st.integers(1, 40))
    m = draw(st.integers(1, 7))
    atoms = draw(hnp.arrays(np.float64, (m, d), elements=number)) * scale
    x = (draw(hnp.arrays(np.float64, d, elements=number)) * draw(st.sampled_from([1.0, 1e-15, 1e15]))).astype(
        dtype
    )
    assume(x.any())
    return atoms.astype(dtype), x


drops = st.sampled_from([0, 1, 3, 20, 127])
metrics: st.SearchStrategy[Metric] = st.sampled_from(["cosine", "euclidean"])


NEGATIVE_ROW = np.array([[0.0, 1.0], [1.0, 1.0]], np.float32), np.array([-1.0, -1.0], np.float32)


@settings(max_examples=400)
@given(problem=problems(), metric=metrics, drop=drops, residual=st.booleans())
@example(problem=NEGATIVE_ROW, metric="cosine", drop=0, residual=True)  # all atoms positive, the row not
def test_no_score_exceeds_its_bound(
    problem: tuple[NDArray[Any], NDArray[Any]], metric: Metric, drop: int, residual: bool
) -> None:
    check(*problem, metric, drop, residual)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(60, 330),
    spread=st.integers(0, 12),
    signed=st.booleans(),
    metric=metrics,
    drop=drops,
    residual=st.booleans(),
)
def test_no_score_exceeds_its_bound_with_rare_terms(
    seed: int, m: int, spread: int, signed: bool, metric: Metric, drop: int, residual: bool
) -> None:
    """Enough atoms that some terms are lists, not lines; entries over many orders of magnitude."""
    rng = np.random.default_rng(seed)
    d = 60
    frequency = rng.random(d) ** 6

    def entries(n: int, chance: NDArray[np.float64]) -> NDArray[np.float32]:
        values = rng.standard_normal((n, d)) * 10.0 ** -rng.integers(0, spread + 1, (n, d))
        held = np.where(rng.random((n, d)) < chance, values, 0)
        return (held if signed else np.abs(held)).astype(np.float32)

    atoms = entries(m, frequency) * 10.0 ** rng.integers(-3, 3, (m, 1)).astype(np.float32)
    check(atoms, entries(1, np.full(d, 1.0))[0], metric, drop, residual)


@pytest.mark.parametrize("signed", [False, True])
def test_the_bound_is_tight_enough_to_be_of_use(signed: bool, rng: np.random.Generator) -> None:
    """For rows of 60 entries in a text-like matrix the bound lies within a few hundredths of the score."""
    atoms = np.where(rng.random((100, 400)) < 0.3, rng.random((100, 400)), 0).astype(np.float32)
    x = np.where(rng.random(400) < 0.15, rng.random(400), 0).astype(np.float32)
    if signed:
        atoms *= rng.choice([-1, 1], atoms.shape).astype(np.float32)
    index = Index(atoms, True)
    assert index.round_up != signed
    found = screen(index, x, "cosine", 0, True)
    slack = found.upper - np.array(true_scores(index, atoms, x, "cosine"))
    assert slack.min() > 0
    assert slack.max() < 0.06
    assert found.spread < 0.12
