"""The PTX of nvcc, interpreted: the nearest of sparse centers for rows in CSR."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from ptx import Memory
from ptx_calls import BOUNDS, COUNTS, kernel, quad, whole

import latom

LISTED, SLICE = 128, 256  # of csrc/cuda/csr_nearest.cuh


class Calls:
    """What csrc/cuda/csr_nearest.cu queues, kernel by kernel, with slabs of one slice."""

    def __init__(self, ptx: Any, X: Any, C: Any, measure: int) -> None:
        self.ptx, self.M, self.letter = ptx, Memory(4 << 20), "f" if X.dtype == np.float32 else "d"
        self.n, (self.m, self.d), M = X.shape[0], C.shape, self.M
        x, c = self._rows(X), self._rows(C)
        norm2, factor, bias = (M.put(np.zeros(self.m)) for _ in range(3))
        bounds, x_norm2 = M.put(np.zeros(BOUNDS, np.uint8)), M.put(np.zeros(self.n))
        self._launch("measure_csr", self.m, 16, 128, [c + quad(norm2), whole(self.m), quad(norm2)])
        self._launch("measure_csr", self.n, 16, 128, [x + quad(x_norm2), whole(self.n), quad(x_norm2)])
        kernel(ptx, "csr_nearest", "rule_of_atoms").launch(
            *(M, -(-self.m // 128), 128),
            [quad(norm2), whole(self.m), whole(measure), quad(factor), quad(bias), quad(bounds)],
        )
        half, bias32 = M.put(np.zeros(C.nnz, np.float16)), M.put(np.zeros(self.m, np.float32))
        self.bias32, self.bounds = bias32 if measure == 2 else 0, bounds
        rule = quad(norm2, factor if measure == 1 else 0, bias if measure == 2 else 0)
        self.rows = x + quad(x_norm2)
        self.centers = c + quad(norm2, self.m, self.d) + struct.pack("i4x", measure) + rule
        self.centers += quad(half, self.bias32, bounds)
        self._launch("pack_csr", self.m, 16, 128, [self.centers])

    def nearest(self, crowded: bool) -> tuple[Any, Any]:
        """(labels, scores); crowded: as if there were too many candidates of all rows."""
        M, n = self.M, self.n
        kinds = [np.float32, np.float32, np.uint32, np.int32]
        lists = [M.put(np.zeros(n, kind)) for kind in kinds]
        lists += [M.put(np.zeros((n, LISTED), kind)) for kind in (np.float32, np.int32)]
        listed = quad(*lists)
        self._launch("start_csr", n, 16, 128, [self.rows, whole(n), quad(self.bounds), listed])
        for first in range(0, self.m, SLICE):
            count = min(SLICE, self.m - first)
            half, held = M.put(np.zeros((self.d, SLICE), np.float16)), M.put(np.zeros(self.d, np.uint8))
            slab = quad(half, held, SLICE) + struct.pack("3i4x", self.d, first, count)
            self._launch("fill_slab", count, 1, 128, [self.centers, slab])
            self._launch("list_nearest", n, 8, 256, [self.rows, whole(n), slab, quad(self.bias32), listed])
        if crowded:
            M.view(lists[3], np.int32, n)[:] = LISTED + 1
        label, own, score = M.put(np.full(n, -1, np.int32)), M.put(np.zeros(n)), M.put(np.zeros(n))
        overflowed, counts = M.put(np.zeros(n, np.int32)), M.put(np.zeros(COUNTS, np.uint8))
        out = quad(label, own, score, overflowed, counts)
        self._launch("decide_nearest", n, 4, 128, [self.rows, whole(0), whole(n), self.centers, listed, out])
        assert M.get(counts, np.int32, (2,))[1] == (n if crowded else 0)
        self._launch("settle_nearest", 2, 1, 256, [self.rows, self.centers, out])
        return M.get(label, np.int32, (n,)), M.get(score, np.float64, (n,))

    def _rows(self, X: Any) -> bytes:
        return quad(*(self.M.put(part) for part in (X.indptr.astype(np.int64), X.indices, X.data)))

    def _launch(self, name: str, count: int, each: int, threads: int, values: list[bytes]) -> None:
        kernel(self.ptx, "csr_nearest", name, self.letter).launch(self.M, -(-count // each), threads, values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_nearest(ptx: Any, rng: np.random.Generator, dtype: Any, metric: str) -> None:
    def draw(n: int) -> Any:
        dense = rng.standard_normal((n, 23)) * (rng.random((n, 23)) < 0.4)
        dense[0] = rng.standard_normal(23)
        return sp.csr_array(dense.astype(dtype))

    X, C = draw(3), draw(SLICE + 4)
    C = sp.csr_array(sp.vstack([C[:-2], C[:2]]))  # ties
    calls = Calls(ptx, X, C, ("dot", "cosine", "euclidean").index(metric))
    wanted = latom.assign(X, C, metric=metric)
    for crowded in (False, True):
        for found, one in zip(calls.nearest(crowded), wanted, strict=True):
            np.testing.assert_array_equal(found, one)
