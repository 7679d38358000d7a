"""quantize_row: the inequalities that csrc/engines/sparse_select/quantized_index.h builds its bound on."""

from __future__ import annotations

import core
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import plain_kernels as plain
import pytest
from hypothesis import example, given
from numpy.typing import NDArray

EPS = float(np.finfo(np.float32).eps)
TINY = 1e-30  # below this a row is not scaled but bounded as a whole


def padded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    a = np.zeros((len(values) + 15) // 16 * 16, np.float32)
    a[: len(values)] = values
    return a


def check(a: NDArray[np.float32], round_up: bool, drop: int) -> None:
    """The header's claims about one row, in float64."""
    p8, step, abs_sum, rest, dropped = core.kernels.quantize_row(a, round_up, drop)
    p, exact = p8.astype(np.int64), a.astype(np.float64)
    widen = 1 + EPS * (len(a) + 16)  # float32 sums
    top = np.abs(exact).max(initial=0)
    assert p8.dtype == np.int8
    assert np.abs(p).max(initial=0) <= 127
    if top <= np.float32(TINY):
        assert not p.any()
        assert np.abs(exact).sum() <= dropped * widen
        assert np.abs(exact).sum() <= abs_sum * widen
        return
    assert step == pytest.approx(top / 127, rel=2 * EPS)
    assert not np.any((p != 0) & (np.abs(p) <= drop))
    kept = p != 0
    size = np.abs(exact)
    residual = np.abs(exact - step * p)
    rounding = 2 * EPS * 128 * step * len(a)  # of the float32 residuals
    assert abs_sum == pytest.approx(size.sum(), rel=widen - 1)
    assert dropped == pytest.approx(size[~kept].sum(), rel=widen - 1)
    assert residual[kept].sum() <= rest * widen + rounding
    assert rest <= residual[kept].sum() * widen + rounding

    unit = step * (1 + 4 * EPS * 128)
    if round_up:
        assert np.all(step * p[kept] >= exact[kept] - 4 * EPS * 127 * step)
        assert np.all(residual[kept] <= unit)
        underflow = 2.0**-149 * max(1.0, step)  # a / step may be less than any float32
        assert np.all(exact[~kept] <= drop * unit + underflow)
    else:
        assert np.all(residual[kept] <= 0.5 * unit)
        assert np.all(size[~kept] <= (drop + 0.5) * unit)


numbers = st.one_of(
    st.just(0.0),
    st.floats(-1, 1, width=32),
    st.floats(-(2.0**100), 2.0**100, width=32),
    st.integers(-127, 127).map(float),
    st.sampled_from([1e-45, -1e-45, 1e-38, 9.9e-31, 1.1e-30, 1.0, 127.0, -127.0, 0.5, 63.5]),
)
# As Python's floats: hypothesis compares what it drew with what the array holds, in NumPy 1 as float64.
elements = numbers.map(lambda number: float(np.float32(number)))
rows = hnp.arrays(np.float32, st.integers(0, 70), elements=elements).map(padded)
rounded_up = np.nextafter(np.float32(127), np.float32(128))


@given(a=rows, round_up=st.booleans(), drop=st.sampled_from([0, 1, 2, 7, 126, 127]))
@example(a=padded(np.array([rounded_up, 1.0], np.float32)), round_up=True, drop=0)
@example(a=padded(np.full(33, -3e-31, np.float32)), round_up=False, drop=0)
def test_claims_of_the_header_hold(a: NDArray[np.float32], round_up: bool, drop: int) -> None:
    check(np.abs(a) if round_up else a, round_up, drop)


@given(a=rows, round_up=st.booleans(), drop=st.integers(0, 127))
def test_variants_agree_to_the_bit(a: NDArray[np.float32], round_up: bool, drop: int) -> None:
    def run() -> list[bytes]:
        return [plain.bits(part) for part in core.kernels.quantize_row(a, round_up, drop)]

    first, *others = plain.on_every_isa(run)
    assert all(other == first for other in others)


@pytest.mark.parametrize("round_up", [False, True])
@pytest.mark.parametrize("count", [16, 160, 4096, 130_000])
def test_claims_hold_for_long_rows(isa: str, count: int, round_up: bool, rng: np.random.Generator) -> None:
    a = (rng.standard_normal(count) * 10.0 ** rng.integers(-6, 0, count)).astype(np.float32)
    for drop in (0, 5):
        check(np.abs(a) if round_up else a, round_up, drop)


def test_every_multiple_of_the_step_is_kept_as_it_is(isa: str) -> None:
    p = np.arange(-127, 129, dtype=np.float32)
    p[-1] = 0
    for scale in (1.0, 0.37, 1e-20, 1e20):
        got, _, _, rest, dropped = core.kernels.quantize_row(p * np.float32(scale), False, 0)
        assert np.array_equal(got, p.astype(np.int8))
        assert rest <= 1e-5 * 127 * scale
        assert dropped == 0


@pytest.mark.parametrize("drop", [0, 1, 10, 126, 127])
def test_drop_clears_small_terms_and_counts_them(isa: str, drop: int) -> None:
    p = np.arange(128, dtype=np.float32)
    got, step, abs_sum, rest, dropped = core.kernels.quantize_row(p, True, drop)
    assert step == 1.0
    assert np.array_equal(got, np.where(p <= drop, 0, p))
    assert (abs_sum, rest) == (p.sum(), 0)
    assert dropped == p[p <= drop].sum()


def test_length_must_be_padded() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        core.kernels.quantize_row(np.zeros(15, np.float32), True, 0)
