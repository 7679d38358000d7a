"""widen_f16 and widen_bf16: every 16-bit number, exactly."""

from __future__ import annotations

import core
import numpy as np
import plain_kernels as plain
import pytest

EVERY = np.arange(65536, dtype=np.uint16)


@pytest.mark.parametrize("count", [65536, 0, 1, 7, 8, 9, 15, 16, 17, 31, 33])
def test_bfloat16_is_the_upper_half_of_float32(isa: str, count: int) -> None:
    x = EVERY[-count:] if count else EVERY[:0]
    out = core.kernels.widen_bf16(x)
    assert np.array_equal(out.view(np.uint32), x.astype(np.uint32) << 16)  # NaN keep their bits


@pytest.mark.parametrize("count", [65536, 0, 1, 7, 8, 9, 15, 16, 17, 31, 33])
def test_float16_is_numpy_s(isa: str, count: int) -> None:
    x = EVERY[-count:] if count else EVERY[:0]
    out = core.kernels.widen_f16(x)
    half = x.view(np.float16)
    number = ~np.isnan(half)
    assert np.array_equal(out[number].view(np.uint32), half[number].astype(np.float32).view(np.uint32))
    assert np.isnan(out[~number]).all()
    assert np.array_equal(np.signbit(out), x >> 15 == 1)


@pytest.mark.parametrize("name", ["widen_f16", "widen_bf16"])
def test_variants_agree_to_the_bit(name: str) -> None:
    found = plain.on_every_isa(lambda: plain.bits(getattr(core.kernels, name)(EVERY)))
    assert len(set(found)) == 1
