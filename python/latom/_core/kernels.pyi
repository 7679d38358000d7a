"""Single kernels of the variant in use, for tests (csrc/kernels/table.h has their contracts)."""

from typing import overload

import numpy as np
from numpy.typing import NDArray

@overload
def dense_dot(x: NDArray[np.float32], y: NDArray[np.float32]) -> float: ...
@overload
def dense_dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> float: ...
@overload
def sparse_dot(
    x: NDArray[np.float32], column: NDArray[np.int32] | NDArray[np.int64], y: NDArray[np.float32]
) -> float: ...
@overload
def sparse_dot(
    x: NDArray[np.float64], column: NDArray[np.int32] | NDArray[np.int64], y: NDArray[np.float64]
) -> float: ...

# (p, step, abs_sum, rest, dropped)
def quantise_row(
    a: NDArray[np.float32], round_up: bool, drop: int
) -> tuple[NDArray[np.int8], float, float, float, float]: ...
def accumulate(
    acc: NDArray[np.int32], slab: NDArray[np.int8], line: NDArray[np.int32], p: NDArray[np.uint8]
) -> NDArray[np.int32]: ...
def accumulate_group(
    acc: NDArray[np.int32],
    values: NDArray[np.int8],
    line: NDArray[np.int32],
    line_shift: int,
    p: NDArray[np.uint8],
) -> NDArray[np.int32]: ...

# (best, maximum of each 64)
def block_max(
    acc: NDArray[np.int32],
    step: float,
    shift: float,
    least: float,
    scale: NDArray[np.float32] | None,
    bias: NDArray[np.float32] | None,
    bias_scale: float,
) -> tuple[float, NDArray[np.float32]]: ...

# out + sum of value[p] * W[index[p], first : first + len(out)]; index may go on beyond value
def gather_add(
    index: NDArray[np.int32] | NDArray[np.int64],
    value: NDArray[np.float32] | NDArray[np.float64],
    W: NDArray[np.float32] | NDArray[np.float64],
    first: int,
    out: NDArray[np.float32] | NDArray[np.float64],
) -> NDArray[np.float32] | NDArray[np.float64]: ...
def philox(seed: int, purpose: int, counter: int) -> list[int]: ...
