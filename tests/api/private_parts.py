"""Small arrays and objects for the calls of private functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from latom import _core

rng = np.random.default_rng(0)
k = _core.kernels
context = _core.Context("f", 2)
INDPTR = np.array([0, 2, 3, 3, 5])  # 4 rows, 6 columns
INDICES = np.array([0, 5, 3, 1, 2], np.int32)


def f32(*shape: int) -> Any:
    return rng.random(shape, dtype=np.float32)


def f64(*shape: int) -> Any:
    return rng.random(shape)


def ints(*shape: int, dtype: Any = np.int32) -> Any:
    return np.zeros(shape, dtype)


def csr(d: int = 6, dtype: Any = np.float32) -> Any:
    indices = INDICES % 4 if d == 4 else np.minimum(INDICES, d - 1)
    return _made(_core.prepare(context, (INDPTR, indices, f64(5).astype(dtype), (4, d))), csr, 4)


def square() -> Any:
    return csr(4)


class Products:
    """A 4 x 6 matrix that multiplies."""

    def times(self, F: Any) -> Any:
        return np.ascontiguousarray(np.ones((4, 6), np.float32) @ F)

    def transposed_times(self, W: Any) -> Any:
        return np.ascontiguousarray(np.ones((6, 4), np.float32) @ W)


def dense(n: int = 4, d: int = 6, dtype: Any = np.float32) -> Any:
    def again(d: int, dtype: Any = np.float32) -> Any:
        return dense(n, d, dtype)

    return _made(_core.prepare(context, f64(n, d).astype(dtype)), again, n)


MADE: dict[int, tuple[Any, Any, int]] = {}


def _made(rows: Any, again: Any, n: int) -> Any:
    """Rows, with what makes others of their kind by the number of columns."""
    MADE[id(rows)] = rows, again, n
    return rows


def other_rows(rows: Any) -> Any:
    """(what differs, rows) that differ from these in one thing."""
    _, again, n = MADE[id(rows)]
    yield "d", again(rows.d + 1)
    yield "d", again(rows.d - 1)
    yield "dtype", again(rows.d, dtype=np.float64)
    yield "container", dense(n, rows.d) if again is csr else csr(rows.d)
    yield "part", again(rows.d).subset(context, np.arange(n)[::-1].copy())
    for more in (1, -1):
        if again is not csr:
            yield "n", dense(n + more, rows.d)


def prepare_csr(context: Any, indptr: Any, indices: Any, data: Any) -> Any:
    return _core.prepare(context, (indptr, indices, data, (4, 6)))


CODES = {"indptr": INDPTR, "indices": INDICES, "values": f32(5)}
MORE = {"indices.0+", "values.0+"}  # entries beyond those that indptr names are capacity


def of_codes(name: str) -> Any:
    """A function of codes that takes their parts apart."""

    def given(context: Any, indptr: Any, indices: Any, values: Any, **rest: Any) -> Any:
        return getattr(_core, name)(context, (indptr, indices, values), **rest)

    return given


def train_latents(context: Any, **a: Any) -> Any:
    part = ((a["indptr"], a["indices"], a["values"]), a["slope"], a["residual"], 1.0)
    encoder, bias = (a["W"], a["first"], a["second"]), (a["b"], a["b_first"], a["b_second"])
    rest = (a["last"], 1e-3, 0.9, 0.999, 1e-8, 1, False, True)
    return _core.train_latents(context, [part], a["X"], encoder, encoder, bias, *rest)


def screened(rows: int, atoms: int) -> dict[str, Any]:
    return {
        "screen": "float32",
        "tile": ints(5, rows, dtype=np.uint32),
        "panel": ints(5, atoms, dtype=np.uint32),
        "factor": f32(atoms),
        "bias": f32(atoms),
        "limit": f32(rows),
        "row_bias": f32(rows),
        "magnitude": False,
    }


def blocks() -> Any:
    run = _core.BlockLloyd(context, 4, "cosine")
    run.set_centers(context, dense(3))
    run.assign(context, dense(), 0, None, None, 1.0, 1.0, None, None)
    return run


def masked() -> dict[str, Any]:
    named = {
        "indptr": INDPTR,
        "indices": INDICES,
        "G": f64(3, 3),
        "F": f32(6, 3),
        "P": f32(4, 3),
        "X": f32(4, 3),
    }
    return named | {"l2": 0.0} | ({"observed": False} if "observed" in _core.sweep_masked.__doc__ else {})


def growing() -> Any:
    return _core.Dictionary(context, f32(9, 6), True)


def batches() -> Any:
    return _core.MiniBatch(context, dense(3), f64(3), "euclidean", False)
