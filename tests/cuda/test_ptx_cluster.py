"""The PTX of nvcc, interpreted: sums that follow labels, centers made of them, costs of rows."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from ptx import Memory
from ptx_calls import kernel, quad, whole

import latom
from latom import _core
from latom._base.backend import call
from latom._base.rows import Rows


def grid(bound: float) -> tuple[bytes, int]:
    """The bytes of Grid of csrc/cuda/cluster.h, as core/bin_grid.h has it, and its levels."""
    most = int(np.frexp(bound)[1])
    exponent = 32 * ((most + 30) // 32) - 30
    levels = 2 if most - 1 - exponent >= 24 else 3
    units = [2.0 ** (exponent - 32 * level) for level in range(3)]
    return struct.pack("6di4x", *(1.5 * 2.0**52 * unit for unit in units), *units, levels), levels


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cosine", [False, True])
def test_a_step(ptx: Any, rng: np.random.Generator, dtype: Any, cosine: bool) -> None:
    n, d, m, M = 40, 11, 3, Memory(1 << 20)
    letter, X = "f" if dtype == np.float32 else "d", rng.standard_normal((n, d)).astype(dtype)
    rows = Rows("test", X)
    norm2, weight = rows.core.norm2(call("test")), rng.uniform(0, 2, n)
    longest = float((weight if cosine else weight * np.sqrt(norm2)).max())
    (row_grid, levels), (weight_grid, _) = grid(longest), grid(float(weight.max()))
    grids = row_grid + weight_grid
    total, masses = M.put(np.zeros((m, levels, d), np.int64)), M.put(np.zeros((m, 3), np.int64))
    size, touched = M.put(np.zeros(m, np.int32)), M.put(np.zeros(m, np.int32))
    sums = quad(total, masses, size, touched)
    x, squares, w = M.put(X), M.put(norm2), M.put(weight)
    before, changed = M.put(np.full(n, -1, np.int32)), M.put(np.zeros(1, np.int32))
    labels = rng.integers(0, m, n).astype(np.int32)
    for moved in (n, 8):
        labels[:8] = (labels[:8] + 1) % m
        label, count = M.put(labels), M.put(np.zeros(m, np.int32))
        begin, entry = M.put(np.zeros(m + 1, np.int64)), M.put(np.zeros(2 * n, np.int32))
        M.view(changed, np.int32, 1)[:] = 0
        kernel(ptx, "cluster", "count_changes").launch(
            M, 1, 256, [quad(label), quad(before), whole(n), quad(count), sums, quad(changed)]
        )
        assert M.get(changed, np.int32, (1,))[0] == moved
        kernel(ptx, "cluster", "scan_counts").launch(M, 1, 256, [quad(count), whole(m), quad(begin)])
        kernel(ptx, "cluster", "place_changes").launch(
            M, 1, 256, [quad(label), quad(before), whole(n), quad(begin), quad(count), quad(entry)]
        )
        kernel(ptx, "cluster", "add_entries", letter).launch(
            *(M, 1, 256),
            [quad(x, squares, w, label, before, n, d), whole(m), struct.pack("?", cosine), grids]
            + [quad(begin), quad(entry), whole(1), sums],
        )
        M.view(before, np.int32, n)[:] = labels
    metric = "cosine" if cosine else "euclidean"
    core = _core.cluster_parts(
        call("test"), rows.core, weight, None, labels, m, metric, longest, float(weight.max())
    )
    np.testing.assert_array_equal(M.get(total, np.int64, (m, levels, d)), core[0].reshape(m, levels, d))
    np.testing.assert_array_equal(M.get(masses, np.int64, (m, 3)), core[1])
    np.testing.assert_array_equal(M.get(size, np.int32, (m,)), np.bincount(labels, minlength=m))
    start = X[:m].copy()
    centers, shift = M.put(start), M.put(np.zeros(m))
    scratch = quad(M.put(np.zeros((2, d))), M.put(np.zeros((2, d), dtype)))
    kernel(ptx, "cluster", "move_each", letter).launch(
        *(M, 2, 256),
        [quad(centers), whole(m), whole(d), struct.pack("?", cosine), grids, sums, quad(shift), scratch],
    )
    wanted, _, moved_by = _core.next_centers(
        call("test"), Rows("test", start).core, None, None, core[0], core[1], metric, longest,
        float(weight.max()),
    )  # fmt: skip
    np.testing.assert_array_equal(M.get(centers, dtype, (m, d)), wanted)
    assert np.cumsum(M.get(shift, np.float64, (m,)))[-1] == moved_by
    _scores(ptx, M, X, wanted, metric, norm2)


def _scores(ptx: Any, M: Memory, X: Any, centers: Any, metric: str, norm2: Any) -> None:
    labels, scores = latom.assign(X, centers, metric=metric)
    lengths = Rows("test", centers).core.norm2(call("test"))
    dot = np.array([_dot(x, centers[j]) for x, j in zip(X, labels, strict=True)])
    out, n = M.put(np.zeros(len(X))), len(X)
    factor = M.put(1 / np.sqrt(lengths)) if metric == "cosine" else 0
    bias = 0 if metric == "cosine" else M.put(-0.5 * lengths)
    kernel(ptx, "cluster", "score_labels").launch(
        *(M, 1, 256),
        [quad(M.put(dot)), quad(M.put(labels)), quad(M.put(norm2)), whole(n)]
        + [whole(("dot", "cosine", "euclidean").index(metric)), quad(factor), quad(bias), quad(out)],
    )
    np.testing.assert_array_equal(M.get(out, np.float64, (n,)), scores)
    costs = M.put(np.zeros(1))
    kernel(ptx, "cluster", "sum_cost_rows").launch(
        M, 1, 32, [quad(out), quad(0), whole(n), struct.pack("?", metric == "cosine"), quad(costs)]
    )
    each = 1 - scores if metric == "cosine" else -scores
    assert M.get(costs, np.float64, (1,))[0] == np.cumsum(each)[-1]


def _dot(x: Any, y: Any) -> float:
    part = [0.0] * 8
    for p in range(len(x)):
        part[p % 8] += float(x[p]) * float(y[p])
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))
