"""The PTX of nvcc, interpreted: what that compiler made of the kernels gives the CPU's bits."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from ptx import Memory
from ptx_calls import Atoms, Screen, kernel, quad, whole
from test_contract import dots as dots_of

import latom


def topk(ptx: Any, X: Any, W: Any, k: int, measure: int, order: int, bias: Any, overflow: bool) -> Any:
    """What csrc/cuda/topk.cu queues, kernel by kernel."""
    (n, _), m, M = X.shape, len(W), Memory(8 << 20)
    screen = Screen(ptx, "topk", M, X, Atoms(ptx, M, W, measure, bias))
    letter = screen.letter
    values, indices = M.put(np.full((n, k), np.nan, X.dtype)), M.put(np.full((n, k), -1, np.int32))
    dots = M.put(np.full((n, k), np.nan))
    decision = screen.decision(k, measure, order, values, indices, dots, 0)
    if overflow:
        kernel(ptx, "topk", "list_all_rows").launch(
            M, 1, 256, [whole(n), quad(screen.overflowed), quad(screen.counts)]
        )
    else:
        floor = np.finfo(np.float32).min if order == 0 else 0.0
        kernel(ptx, "topk", "start_rows").launch(M, 1, 256, [screen.lists, whole(n), struct.pack("f", floor)])
        screen.select(k, order == 2)
        kernel(ptx, "topk", "decide_rows", letter).launch(
            M, n, 128, [decision, screen.lists, whole(0), quad(screen.overflowed)]
        )
    scratch = [M.put(np.zeros((2, m))), M.put(np.zeros((2, k))), M.put(np.zeros((2, k), np.int32))]
    kernel(ptx, "topk", "settle_rows", letter).launch(
        M, 2, 256, [decision, quad(screen.overflowed), quad(*scratch)]
    )
    bad, overflowed = screen.found()
    assert bad > 1 << 30
    assert overflowed == (n if overflow else 0)
    at = M.get(indices, np.int32, (n, k))
    np.testing.assert_array_equal(
        M.get(dots, np.float64, (n, k)), np.take_along_axis(dots_of(X, W), at.astype(np.int64), 1)
    )
    return M.get(values, X.dtype, (n, k)), at


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("metric", "activation", "biased", "overflow"),
    [
        *[("dot", "identity", True, False), ("cosine", "abs", False, False)],
        *[("euclidean", "identity", False, False), ("dot", "relu", False, True)],
    ],
)
def test_ptx_gives_the_bits_of_the_cpu(
    ptx: Any, rng: np.random.Generator, dtype: Any, metric: str, activation: str, biased: bool, overflow: bool
) -> None:
    n, d, m, k = 3, 21, 300, 7
    X, W = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
    W[150:170] = W[:20]  # ties
    bias = rng.standard_normal(m) if biased else None
    place = ("dot", "cosine", "euclidean").index(metric), ("identity", "relu", "abs").index(activation)
    values, indices = topk(ptx, X, W, k, *place, bias, overflow)
    wanted, places = latom.topk(X, W, k, metric=metric, activation=activation, bias=bias)
    np.testing.assert_array_equal(indices, places)
    np.testing.assert_array_equal(values, wanted)
