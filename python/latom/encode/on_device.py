"""Codes on a GPU: what :func:`latom.topk`, `above`, `encode` and `decode` do there, with the CPU's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_numpy, as_vector
from latom._base.checks import check_integer
from latom._base.device import Place, lies_on_gpu, pointer_of
from latom._base.device_rows import DeviceRows, common_dtype
from latom._base.device_select import DeviceAtoms
from latom._base.rows import Rows
from latom.encode.atoms import ACTIVATIONS, as_csr, unstacked


def rows_on_device(function: str, place: Place, X: Any, dtype: Any) -> tuple[DeviceRows, tuple[int, ...]]:
    """Rows of X for the kernels, and the shape that they came in where it has three or more dimensions."""
    stack: tuple[int, ...] = ()
    if not isinstance(X, Rows) and (not lies_on_gpu(X) or len(X.shape) > 2):
        X, stack = unstacked(function, X)
    return DeviceRows(function, place, X, "X", dtype), stack


def atoms_on_device(
    function: str, place: Place, atoms: Any, X: Any, metric: str, bias: Any, name: str = "atoms"
) -> DeviceAtoms:
    """Atoms prepared for rows like X, with a bias from wherever it lives."""
    dtype = common_dtype(X, atoms)
    rows = DeviceRows(function, place, atoms, name, dtype)
    vector = as_vector(function, "bias", on_host(place, bias), len(rows))
    return DeviceAtoms(function, place, rows, metric, vector)


def on_host(place: Place, array: Any) -> Any:
    """A short array in the memory of the CPU."""
    return None if array is None else place.fetch(array)


def check_columns(function: str, X: DeviceRows, atoms: DeviceAtoms, name: str = "atoms") -> None:
    """Refuses rows of another width."""
    d, width = X.shape[1], atoms.rows.shape[1]
    if d != width:
        raise ValueError(
            f"{function}: X must have as many columns as {name}, {width}; got {d}. Pass rows of the features "
            "that the atoms have."
        )


def topk_on_device(
    function: str, X: Any, atoms: DeviceAtoms, k: Any, activation: str
) -> tuple[Any, Any, dict[str, int]]:
    """(values, indices, stats) in the library of X."""
    rows, stack = rows_on_device(function, atoms.place, X, atoms.dtype)
    check_columns(function, rows, atoms)
    k = check_integer(function, "k", k, len(atoms))
    values, indices, stats = atoms.topk(function, rows, k, activation)
    if stack:
        values, indices = values.reshape(*stack, k), indices.reshape(*stack, k)
    return values, indices, stats


def above_on_device(function: str, X: Any, atoms: DeviceAtoms, thresholds: NDArray[np.float64]) -> Any:
    """Compressed rows in the library of X: of torch as a sparse tensor, of the CPU as scipy has them."""
    rows, stack = rows_on_device(function, atoms.place, X, atoms.dtype)
    check_columns(function, rows, atoms)
    if thresholds.shape not in ((1,), (len(rows),), stack):
        raise ValueError(
            f"{function}: threshold must be a number or have shape {stack or (len(rows),)}; got shape "
            f"{thresholds.shape}. Pass one number for all rows."
        )
    if np.isnan(thresholds).any():
        raise ValueError(
            f"{function}: threshold must be a number; got NaN at {int(np.isnan(thresholds).argmax())}. Use "
            "-numpy.inf for every atom."
        )
    bars = np.broadcast_to(thresholds.reshape(-1), (len(rows),))
    indptr, indices, values = atoms.above(function, rows, bars)
    place = atoms.place
    return place.csr(
        indptr,
        place.joined(indices, np.int32),
        place.joined(values, atoms.dtype),
        len(atoms),
    )


def encode_on_device(function: str, X: Any, atoms: DeviceAtoms, k: Any, activation: str) -> Any:
    """Codes in the library of X."""
    rows, _ = rows_on_device(function, atoms.place, X, atoms.dtype)
    check_columns(function, rows, atoms, "W_enc")
    k = check_integer(function, "k", k, len(atoms))
    values, indices, _ = atoms.topk(function, rows, k, ACTIVATIONS[activation])
    if not rows.resident:
        return as_csr(values, indices, len(atoms))
    place, n = atoms.place, len(rows)
    workspace = place.memory(place.module.codes_bytes(n))
    found, begin = atoms.of("count_codes_")(pointer_of(values), n, k, workspace, place.stream)
    indptr = np.empty(n + 1, np.int64)
    workspace.read(indptr, place.stream, begin - workspace.pointer)
    out = place.empty((found,), atoms.dtype), place.empty((found,), np.int32)
    if found:
        atoms.of("write_codes_")(
            *(pointer_of(values), pointer_of(indices), n, k, workspace),
            *(pointer_of(out[0]), pointer_of(out[1]), place.stream),
        )
    return place.csr(indptr, out[1], out[0], len(atoms))


def encoder_on_device(function: str, place: Place, X: Any, W_enc: Any, b_enc: Any, b_pre: Any) -> DeviceAtoms:
    """The atoms of an encoder, its two biases made one."""
    dtype = common_dtype(X, W_enc)
    rows = DeviceRows(function, place, W_enc, "W_enc", dtype)
    m, d = rows.shape
    bias = as_vector(function, "b_enc", on_host(place, b_enc), m)
    center = as_vector(function, "b_pre", on_host(place, b_pre), d)
    if center is None:
        return DeviceAtoms(function, place, rows, "dot", bias, name="W_enc")
    folded, own = place.upload(np.empty(m)), place.upload(center)
    given = None if bias is None else place.upload(bias)
    getattr(place.module, "fold_center_" + ("f32" if dtype == np.float32 else "f64"))(
        *(rows.settle(), m, d, pointer_of(own), 0 if given is None else pointer_of(given)),
        *(pointer_of(folded), place.ordinal, place.stream),
    )
    bad = np.flatnonzero(~np.isfinite(folded.to_numpy(place.stream)))
    if len(bad):
        raise ValueError(
            f"{function}: b_pre must have finite products with W_enc; got NaN or infinity with latent "
            f"{bad[0]}. Scale b_pre and X down."
        )
    return DeviceAtoms(function, place, rows, "dot", folded, name="W_enc")


def decode_on_device(
    function: str, place: Place, codes: tuple[Any, Any], W_dec: Any, bias_name: str, bias: Any
) -> Any:
    """Rows of the pair (values, indices), both on the device or both of the CPU."""
    W = DeviceRows(function, place, W_dec, "W_dec")
    m, d = W.shape
    values, indices, stack, keep = _pair(function, place, codes, W.dtype)
    k = stack[-1]
    n = int(np.prod(stack[:-1]))
    start = as_vector(function, bias_name, on_host(place, bias), d)
    first = None if start is None else place.upload(start.astype(W.dtype))
    out = place.empty((n, d), W.dtype)
    stray, bad = getattr(place.module, "gather_rows_" + ("f32" if W.dtype == np.float32 else "f64"))(
        *(0, indices, keep[2], values, n, k, W.settle(), m, d, 0 if first is None else pointer_of(first)),
        *(pointer_of(out), place.ordinal, place.stream),
    )
    check_gathered(function, stray, bad, n, m)
    made = place.result(out)
    return made if len(stack) == 2 else made.reshape(*stack[:-1], d)


def check_gathered(function: str, stray: int, bad: int, n: int, m: int) -> None:
    """Refuses codes with another latent, and rows that do not come out finite."""
    if stray < n:
        raise ValueError(
            f"{function}: codes must have indices in [0, {m}), the rows of W_dec; got another index in row "
            f"{stray}. Decode with the atoms that the codes were made with."
        )
    if bad < n:
        raise ValueError(
            f"{function}: codes, W_dec and b_pre must be finite and give finite sums; got NaN or infinity in "
            f"row {bad} of the result. Pass finite numbers, or scale them down."
        )


def _pair(
    function: str, place: Place, codes: tuple[Any, Any], dtype: Any
) -> tuple[int, int, tuple[int, ...], tuple[Any, Any, int]]:
    """Pointers to values of a type and to indices, their shape, and what keeps them."""
    values, indices = codes
    if not lies_on_gpu(values):
        values, indices = (as_numpy(function, part, "codes") for part in codes)
    shape = tuple(int(extent) for extent in values.shape)
    if len(shape) < 2 or shape != tuple(indices.shape):
        raise ValueError(
            f"{function}: codes must be two arrays of one shape (n, k); got {shape} and "
            f"{tuple(indices.shape)}. Pass (values, indices) as topk returns them."
        )
    if not lies_on_gpu(values):
        wide = (
            indices if indices.dtype in (np.dtype(np.int32), np.dtype(np.int64)) else indices.astype(np.int64)
        )
        held = place.upload(np.require(values, dtype, ["C"])), place.upload(np.require(wide, None, ["C"]))
        return pointer_of(held[0]), pointer_of(held[1]), shape, (*held, wide.dtype.itemsize)
    values, indices, size = place.as_codes(function, values, indices, dtype)
    return pointer_of(values), pointer_of(indices), shape, (values, indices, size)
