"""The best atoms of rows on a GPU: what :func:`latom.topk` does there."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

import numpy as np

from latom._base.arrays import as_numpy, as_vector
from latom._base.checks import check_integer
from latom._base.device import Place, as_device_rows, device_dtype

CHUNK_ROWS = 8192  # whose scores with a panel of atoms the GPU holds, twice 256 MiB
_METRICS = ("dot", "cosine", "euclidean")
_ACTIVATIONS = ("identity", "relu", "abs")


def topk_on_device(
    function: str, place: Place, X: Any, atoms: Any, k: Any, bias: Any, activation: str, metric: str
) -> tuple[Any, Any, dict[str, int]]:
    """(values, indices, stats) in the library of X, the bits of the CPU's."""
    kinds = {device_dtype(X), device_dtype(atoms)}
    dtype = np.dtype(np.float32 if kinds == {np.dtype(np.float32)} else np.float64)
    x, x_owner, _ = as_device_rows(function, place, X, "X", dtype)
    w, w_owner, _ = as_device_rows(function, place, atoms, "atoms", dtype)
    (n, d), (m, width) = x_owner.shape, w_owner.shape
    if d != width:
        raise ValueError(
            f"{function}: X must have as many columns as atoms, {width}; got {d}. Pass rows of the features "
            "that the atoms have."
        )
    k = check_integer(function, "k", k, int(m))
    vector = None if bias is None else as_vector(function, "bias", _on_host(function, bias), int(m))
    biases = None if vector is None else place.upload(vector)
    values, indices = place.empty((n, k), dtype), place.empty((n, k), np.int32)
    suffix = "f32" if dtype == np.float32 else "f64"
    workspace = place.memory(getattr(place.module, "topk_bytes_" + suffix)(n, d, m, k, CHUNK_ROWS))
    bad_row, bad_atom, scored, overflowed = getattr(place.module, "topk_" + suffix)(
        *(x, n, d, w, m, 0 if biases is None else biases.memory.pointer),
        *(_METRICS.index(metric), _ACTIVATIONS.index(activation), k, _pointer(values)),
        *(_pointer(indices), CHUNK_ROWS, workspace),
        *(product_library(place.module), place.ordinal, place.stream),
    )
    for name, bad, count in (("X", bad_row, n), ("atoms", bad_atom, m)):
        if bad < count:
            raise ValueError(
                f"{function}: {name} must hold finite numbers, in rows of length 0 or within [1e-145, "
                f"1e145]; got another in row {bad}. Drop or scale such rows."
            )
    found = place.result(values), place.result(indices)
    return (*found, {"scored": scored, "overflowed": overflowed})


def _on_host(function: str, bias: Any) -> Any:
    """A bias from wherever it lives: it is short."""
    if hasattr(bias, "cpu"):
        return bias.detach().cpu()
    return bias.get() if hasattr(bias, "get") else as_numpy(function, bias, "bias")


def _pointer(array: Any) -> int:
    if hasattr(array, "data_ptr"):
        return int(array.data_ptr())
    return int(array.__cuda_array_interface__["data"][0])


@functools.lru_cache(maxsize=1)
def _lt_library() -> str:
    """Where cuBLASLt is: the copy that the process has loaded, that of the wheels, or the system's."""
    if os.path.exists("/proc/self/maps"):
        with open("/proc/self/maps") as maps:
            for line in maps:
                path = line.rstrip().rpartition(" ")[2]
                if "libcublasLt.so" in path:
                    return path
    for folder in sys.path:
        for part in ("nvidia/cu13/lib", "nvidia/cublas/lib"):
            path = os.path.join(folder, part, "libcublasLt.so.13")
            if os.path.exists(path):
                return path
    return "libcublasLt.so.13"


def product_library(module: Any) -> str:
    """What :func:`topk_on_device` passes as the library of products; "" for the one of our own."""
    own = not module.has_cublaslt or os.environ.get("LATOM_CUDA_PRODUCT") == "plain"
    return "" if own else _lt_library()
