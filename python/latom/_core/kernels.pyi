"""Single kernels of the variant in use, for tests (csrc/kernels/table.h has their contracts)."""

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from . import Context, Rows

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
def quantize_row(
    a: NDArray[np.float32], round_up: bool, drop: int
) -> tuple[NDArray[np.int8], float, float, float, float]: ...
def accumulate(
    acc: NDArray[np.int32], slab: NDArray[np.int8], line: NDArray[np.int32], p: NDArray[np.uint8]
) -> NDArray[np.int32]: ...
def sift(
    acc: NDArray[np.int16], slab: NDArray[np.uint8], line: NDArray[np.int32], p: NDArray[np.uint8], cut: int
) -> tuple[NDArray[np.int32], NDArray[np.int16]]: ...
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
@overload
def dense_dots(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]: ...
@overload
def dense_dots(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]: ...

# (out: float32, int16, bfloat16 as uint16, or int8; sum of squared residuals)
def round_row(
    x: NDArray[np.float32] | NDArray[np.float64], scale: float, to: str
) -> tuple[NDArray[np.float32] | NDArray[np.int16] | NDArray[np.uint16] | NDArray[np.int8], float]: ...
def largest_magnitude(x: NDArray[np.float32] | NDArray[np.float64]) -> float: ...
def interleave(rows: NDArray[np.uint32], cells: int) -> NDArray[np.uint32]: ...
def widen_f16(x: NDArray[np.uint16]) -> NDArray[np.float32]: ...
def widen_bf16(x: NDArray[np.uint16]) -> NDArray[np.float32]: ...
def raise_bar(v: NDArray[np.float32], k: int, low: float, halvings: int) -> float: ...

# What stays of (lower, upper, position).
def drop_below(
    bar: float, lower: NDArray[np.float32], upper: NDArray[np.float32], position: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]: ...
def repeat_screen(screen: str, cells: int, times: int, n_threads: int = 0) -> None: ...

# (rows of a tile, atoms of a panel, screens of this variant)
def tile_shape() -> tuple[int, int, list[str]]: ...

# Cells of 4 bytes: a float32, a pair of int16 or bfloat16, or four int8: rows + 128, and a panel that starts
# with a line of -128 times the sums of its atoms.
# (rows with hits, hits [tile_rows], scores [tile_rows, panel_atoms])
def screen_tile(
    screen: str,
    tile: NDArray[np.uint32],
    panel: NDArray[np.uint32],
    factor: NDArray[np.float32],
    bias: NDArray[np.float32],
    limit: NDArray[np.float32],
    row_bias: NDArray[np.float32],
    magnitude: bool,
) -> tuple[int, NDArray[np.uint32], NDArray[np.float32]]: ...

# Bounds that engines/product_select/row_block.h claims for factor <x, w> + bias, in screen units:
# (lower [n, m], upper [n, m], units [n]). factor and bias may be empty.
@overload
def score_bounds(
    X: NDArray[np.float32],
    atoms: NDArray[np.float32],
    factor: Sequence[float],
    bias: Sequence[float],
    screen: str,
    magnitude: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]: ...
@overload
def score_bounds(
    X: NDArray[np.float64],
    atoms: NDArray[np.float64],
    factor: Sequence[float],
    bias: Sequence[float],
    screen: str,
    magnitude: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]: ...

# The same of X with itself, of more than 32 rows, each product counted for both rows.
@overload
def pair_bounds(
    X: NDArray[np.float32], factor: Sequence[float], bias: Sequence[float], screen: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]: ...
@overload
def pair_bounds(
    X: NDArray[np.float64], factor: Sequence[float], bias: Sequence[float], screen: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]: ...

# The k-th largest magnitude of each column of x [count, 64 bytes].
def kth_magnitude(
    x: NDArray[np.float32] | NDArray[np.float64], k: int
) -> NDArray[np.float32] | NDArray[np.float64]: ...
@overload
def log_dot(v: NDArray[np.float32], y: NDArray[np.float32]) -> float: ...
@overload
def log_dot(v: NDArray[np.float64], y: NDArray[np.float64]) -> float: ...
def small_product(
    X: NDArray[np.float32] | NDArray[np.float64],
    F: NDArray[np.float32] | NDArray[np.float64],
    triangle: int = 0,
) -> NDArray[np.float32] | NDArray[np.float64]: ...
def distance_sums(
    dot: NDArray[np.float64],
    square_r: NDArray[np.float64],
    square_c: NDArray[np.float64],
    shift_r: NDArray[np.float64],
    shift_c: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def bounded_distances(
    dot: NDArray[np.float32],
    square_r: NDArray[np.float32],
    square_c: NDArray[np.float32],
    low: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

# (out, the largest of each 128)
def pursuit_pairs(
    start: NDArray[np.float32],
    rows: NDArray[np.int16],
    factor: NDArray[np.int16],
    unit: float,
    magnitudes: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def pursuit_row(
    row: NDArray[np.int16], factor: float, start: NDArray[np.float32], magnitudes: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...

# (F, x) after rows index[p] of F and x have stepped along each other
def pull_rows(
    index: NDArray[np.int32],
    pull: NDArray[np.float32],
    keep: float,
    x: NDArray[np.float32],
    F: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...

# (solved, A with its factor in the upper triangle, the solution)
def solve_cholesky(
    A: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[bool, NDArray[np.float64], NDArray[np.float64]]: ...

# out + sum of value[p] * W[index[p], first : first + len(out)]; index may go on beyond value
def gather_add(
    index: NDArray[np.int32] | NDArray[np.int64],
    value: NDArray[np.float32] | NDArray[np.float64],
    W: NDArray[np.float32] | NDArray[np.float64],
    first: int,
    out: NDArray[np.float32] | NDArray[np.float64],
) -> NDArray[np.float32] | NDArray[np.float64]: ...
def philox(seed: int, purpose: int, counter: int) -> list[int]: ...
def transposed_product(context: Context, X: Rows, W: NDArray[Any], rows_per_block: int) -> NDArray[Any]: ...

# (exponent of the first unit, magic numbers).
def bin_grid(bound: float) -> tuple[int, list[float]]: ...
def add_binned(
    x: NDArray[Any], factor: NDArray[np.float64], magic: NDArray[np.float64], sum: NDArray[np.int64]
) -> NDArray[np.int64]: ...
def scatter_binned(
    x: NDArray[Any],
    column: NDArray[Any],
    factor: float,
    magic: NDArray[np.float64],
    sum: NDArray[np.int64],
    flags: bool,
) -> tuple[NDArray[np.int64], bytes]: ...
def binned_values(
    sum: NDArray[np.int64], unit: NDArray[np.float64], side_by_side: bool
) -> NDArray[np.float64]: ...
def best_rows() -> int: ...
def turn_rows(
    x: NDArray[np.float32], origin: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], float]: ...
def box_atoms(
    atoms: NDArray[np.float32],
    bias: NDArray[np.float32],
    error: NDArray[np.float32],
    middle: NDArray[np.float32],
    half: NDArray[np.float32],
    radius: float,
) -> list[int]: ...
def lead(
    dot: NDArray[np.float32],
    factor: NDArray[np.float64],
    bias: NDArray[np.float64],
    slope: NDArray[np.float64],
    base: NDArray[np.float64],
    length: float,
) -> tuple[int, float, float]: ...
def best_two(
    x: NDArray[np.float32], atoms: NDArray[np.float32], bias: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]: ...
