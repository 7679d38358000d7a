"""The PTX of nvcc, interpreted: thresholds, codes, rows made of them, sums by latent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ptx import Memory
from ptx_calls import CAPACITY, Atoms, Screen, kernel, quad, whole
from test_contract import dots as dots_of

import latom

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@TYPES
@pytest.mark.parametrize(("metric", "bar"), [("dot", 1.0), ("cosine", 0.1), ("euclidean", -30.0)])
@pytest.mark.parametrize("overflow", [False, True])
def test_above(
    ptx: Any, rng: np.random.Generator, dtype: Any, metric: str, bar: float, overflow: bool
) -> None:
    n, d, m, M = 2, 13, 90, Memory(8 << 20)
    X, W = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
    measure = ("dot", "cosine", "euclidean").index(metric)
    atoms = Atoms(ptx, M, W, measure)
    screen = Screen(ptx, "above", M, X, atoms)
    bars, found = M.put(np.full(n, bar)), M.put(np.zeros(n, np.int32))
    kernel(ptx, "above", "start_above").launch(
        *(M, 1, 256),
        [screen.lists, whole(n), whole(measure), quad(bars), quad(screen.norm2), quad(atoms.bounds)],
    )
    screen.select(257, False)
    if overflow:
        M.view(screen.filled, np.int32, n)[:] = CAPACITY + 1
    value, atom = M.put(np.zeros((n, CAPACITY))), M.put(np.zeros((n, CAPACITY), np.int32))
    decision = screen.decision(1, measure, 1, 0, 0, 0, bars)
    kernel(ptx, "above", "match_rows", screen.letter).launch(
        M, n, 128, [decision, screen.lists, quad(found, value, atom), quad(screen.overflowed)]
    )
    scratch = M.put(np.zeros((2, m)))
    exact = kernel(ptx, "above", "match_overflowed", screen.letter)
    exact.launch(
        M, 2, 256, [decision, quad(screen.overflowed), quad(scratch), quad(found), quad(0), quad(0), quad(0)]
    )
    begin = M.put(np.zeros(n + 1, np.int64))
    kernel(ptx, "above", "scan_counts").launch(M, 1, 256, [quad(found), whole(n), quad(begin)])
    wanted = latom.above(X, W, bar, metric=metric)
    indptr = M.get(begin, np.int64, (n + 1,))
    np.testing.assert_array_equal(indptr, wanted.indptr)
    assert screen.found()[1] == (n if overflow else 0)
    out, out_atom = M.put(np.zeros(wanted.nnz, dtype)), M.put(np.zeros(wanted.nnz, np.int32))
    lists = quad(value, atom, CAPACITY, found, screen.filled) + whole(0) + b"\1\0\0\0"
    kernel(ptx, "above", "write_sorted", "d" + screen.letter).launch(
        M, n, 256, [lists, quad(begin), quad(out), quad(out_atom)]
    )
    exact.launch(
        *(M, 2, 256),
        [
            decision,
            quad(screen.overflowed),
            quad(scratch),
            quad(found),
            quad(begin),
            quad(out),
            quad(out_atom),
        ],
    )
    np.testing.assert_array_equal(M.get(out_atom, np.int32, (wanted.nnz,)), wanted.indices)
    np.testing.assert_array_equal(M.get(out, dtype, (wanted.nnz,)), wanted.data)


@TYPES
def test_codes(ptx: Any, rng: np.random.Generator, dtype: Any) -> None:
    n, k, M = 5, 6, Memory(1 << 20)
    value = rng.standard_normal((n, k)).astype(dtype) * (rng.random((n, k)) < 0.7)
    atom = np.stack([rng.permutation(50)[:k] for _ in range(n)]).astype(np.int32)
    v, a, count = M.put(value), M.put(atom), M.put(np.zeros(n, np.int32))
    letter = "f" if dtype == np.float32 else "d"
    kernel(ptx, "above", "count_values", letter).launch(M, 1, 256, [quad(v), whole(n), whole(k), quad(count)])
    begin = M.put(np.zeros(n + 1, np.int64))
    kernel(ptx, "above", "scan_counts").launch(M, 1, 256, [quad(count), whole(n), quad(begin)])
    total = int((value != 0).sum())
    out, out_atom = M.put(np.zeros(total, dtype)), M.put(np.zeros(total, np.int32))
    kernel(ptx, "above", "write_sorted", 2 * letter).launch(
        M, n, 256, [quad(v, a, k, 0, 0) + whole(k) + b"\0\0\0\0", quad(begin), quad(out), quad(out_atom)]
    )
    dense = np.zeros((n, 50), dtype)
    np.put_along_axis(dense, atom.astype(np.int64), value, 1)
    row, column = np.nonzero(dense)
    np.testing.assert_array_equal(M.get(out_atom, np.int32, (total,)), column)
    np.testing.assert_array_equal(M.get(out, dtype, (total,)), dense[row, column])


@TYPES
def test_rows_of_codes(ptx: Any, rng: np.random.Generator, dtype: Any) -> None:
    n, k, m, d, M = 3, 4, 20, 21, Memory(1 << 20)
    letter = "f" if dtype == np.float32 else "d"
    W, bias = rng.standard_normal((m, d)).astype(dtype), rng.standard_normal(d).astype(dtype)
    value, index = rng.standard_normal((n, k)).astype(dtype), rng.integers(0, m, (n, k))
    v, i, w, b = M.put(value), M.put(index), M.put(W), M.put(bias)
    out, report = M.put(np.zeros((n, d), dtype)), M.put(np.full(2, 0x7F7F7F7F, np.int32))
    kernel(ptx, "gather", "gather_each", letter + "x").launch(
        *(M, n, 256),
        [quad(0, i, v, n, k), quad(w), whole(m), whole(d), quad(b), quad(out), quad(report)],
    )
    np.testing.assert_array_equal(M.get(out, dtype, (n, d)), latom.decode((value, index), W, b_pre=bias))
    X, dots = rng.standard_normal((n, d)).astype(dtype), M.put(np.zeros((n, k), dtype))
    kernel(ptx, "gather", "dots_at", letter + "x").launch(
        M, 1, 128, [quad(M.put(X)), quad(i), quad(n * k), whole(k), quad(w), whole(d), quad(dots)]
    )
    wanted = np.take_along_axis(dots_of(X, W), index, 1).astype(dtype)
    np.testing.assert_array_equal(M.get(dots, dtype, (n, k)), wanted)
    center, folded = rng.standard_normal(d), M.put(np.zeros(m))
    kernel(ptx, "gather", "fold_each", letter).launch(
        M, 2, 128, [quad(w), whole(m), whole(d), quad(M.put(center)), quad(0), quad(folded)]
    )
    np.testing.assert_array_equal(M.get(folded, np.float64, (m,)), -dots_of(W, center[None])[:, 0])


def test_sums_by_latent(ptx: Any, rng: np.random.Generator) -> None:
    n, k, m, d, M = 60, 5, 300, 3, Memory(1 << 20)
    count = n * k
    key = np.where(rng.random(count) < 0.3, 7, rng.integers(0, m, count))
    parts = [(M.put(np.zeros(count, np.int32)), M.put(np.zeros(count, np.int32))) for _ in range(2)]
    digits, places = M.put(np.zeros(256, np.int32)), M.put(np.zeros(257, np.int64))
    kernel(ptx, "gather", "start_sort", "x").launch(
        M, 2, 256, [quad(M.put(key)), whole(count), quad(*parts[0])]
    )
    for turn, shift in enumerate((0, 8)):
        kernel(ptx, "gather", "count_digits").launch(
            M, 1, 256, [quad(*parts[turn]), whole(count), whole(shift), quad(digits)]
        )
        kernel(ptx, "gather", "scan_counts").launch(M, 1, 256, [quad(digits), whole(256), quad(places)])
        kernel(ptx, "gather", "place_digits").launch(
            M, 1, 256, [quad(*parts[turn]), whole(count), whole(shift), quad(places), quad(*parts[turn ^ 1])]
        )
    entry = M.get(parts[0][1], np.int32, (count,))
    np.testing.assert_array_equal(entry, np.argsort(key, kind="stable"))
    begin = M.put(np.zeros(m + 1, np.int32))
    kernel(ptx, "gather", "find_starts").launch(
        M, 2, 256, [quad(parts[0][0]), whole(count), whole(m), quad(begin)]
    )
    np.testing.assert_array_equal(
        M.get(begin, np.int32, (m + 1,)), np.searchsorted(np.sort(key), np.arange(m + 1))
    )
    value, rows = (
        rng.standard_normal(count).astype(np.float32),
        rng.standard_normal((n, d)).astype(np.float32),
    )
    out = M.put(np.zeros((m, d), np.float32))
    kernel(ptx, "gather", "sum_latents", "f").launch(
        *(M, m, 256),
        [
            quad(parts[0][1]),
            quad(begin),
            quad(M.put(value)),
            whole(k),
            quad(M.put(rows)),
            whole(d),
            quad(out),
        ],
    )
    wanted = np.zeros((m, d), np.float32)
    for p in range(count):
        wanted[key[p]] += rows[p // k] * value[p]
    np.testing.assert_array_equal(M.get(out, np.float32, (m, d)), wanted)
