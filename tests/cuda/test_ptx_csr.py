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
        self.rows, self.x_norm2 = x + quad(x_norm2), x_norm2
        self.centers = c + quad(norm2, self.m, self.d) + struct.pack("i4x", measure) + rule
        self.centers += quad(half, self.bias32, bounds)
        self._launch("pack_csr", self.m, 16, 128, [self.centers])

    def nearest(self, crowded: bool, plan: Any = None) -> tuple[Any, ...]:
        """(labels, scores, what no other center scores above); crowded: as if there were too many candidates.

        plan: an order of centers, rows, how many centers each looks at, one that it knows, its score.
        """
        M, n = self.M, self.n
        places = [M.put(part) for part in plan] if plan is not None else [0] * 5
        width = plan[2] if plan is not None else np.full(n, self.m)
        search = self.rows + self.centers + quad(*places) + struct.pack("i4x", 0)
        kinds = [np.float32, np.float32, np.uint32, np.int32]
        lists = [M.put(np.zeros(n, kind)) for kind in kinds]
        lists += [M.put(np.zeros((n, LISTED), kind)) for kind in (np.float32, np.int32)]
        listed = quad(*lists, *(M.put(np.zeros(n, np.uint32)) for _ in range(2)))
        self._launch("start_csr", n, 16, 128, [search, whole(n), listed])
        for first in range(0, int(width.max()), SLICE):
            count = min(SLICE, self.m - first)
            half, held = M.put(np.zeros((self.d, SLICE), np.float16)), M.put(np.zeros(self.d, np.uint32))
            slab = quad(half, held, SLICE) + struct.pack("3i4x", self.d, first, count)
            self._launch("fill_slab", count, 1, 128, [search, slab])
            self._launch("list_nearest", n, 8, 256, [search, whole(n), slab, listed])
        if crowded:
            M.view(lists[3], np.int32, n)[:] = LISTED + 1
        label = M.put(np.full(n, -1, np.int32))
        own, score, others = (M.put(np.zeros(n)) for _ in range(3))
        overflowed, counts = M.put(np.zeros(n, np.int32)), M.put(np.zeros(COUNTS, np.uint8))
        out = quad(label, own, score, others, overflowed, counts)
        self._launch("decide_nearest", n, 4, 128, [search, whole(n), listed, out])
        assert M.get(counts, np.int32, (2,))[1] == (n if crowded else 0)
        self._launch("settle_nearest", 2, 1, 256, [search, out])
        return M.get(label, np.int32, (n,)), *(M.get(part, np.float64, (n,)) for part in (score, others))

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
        for found, one in zip(calls.nearest(crowded)[:2], wanted, strict=True):
            np.testing.assert_array_equal(found, one)
    order = np.roll(np.arange(len(C.indptr) - 1, dtype=np.int32)[::-1], 3)
    which, width = np.array([2, 0, 1], np.int32), np.array([SLICE + 4, SLICE + 4, SLICE], np.int32)
    known = np.array([1, 259, 0], np.int32)
    plan = order, which, width, known, own_scores(X[which], C[known], metric)
    label, score, others = calls.nearest(False, plan)
    for r, i in enumerate(which):
        seen = np.union1d(order[: width[r]], known[r])
        place, best = latom.assign(X[[i]], C[seen], metric=metric)
        assert label[r] == seen[place[0]]
        assert score[r] == best[0]
        rest = C[seen[seen != label[r]]]
        second = own_scores(X[[i]], rest[latom.assign(X[[i]], rest, metric=metric)[0]], metric)
        assert second[0] <= others[r] <= second[0] + 0.02


def own_scores(X: Any, C: Any, metric: str) -> Any:
    """Scores by the rule of rows with the centers beside them."""
    X, C = X.toarray().astype(np.float64), C.toarray().astype(np.float64)
    products, squares = (
        [(X[i][X[i] != 0] * C[i][X[i] != 0]) for i in range(len(X))],
        [c[c != 0] ** 2 for c in C],
    )
    dot, norm2 = (np.array([in_order(part) for part in parts]) for parts in (products, squares))
    return dot * (1 / np.sqrt(norm2)) if metric == "cosine" else dot + -0.5 * norm2


def in_order(terms: Any) -> float:
    part = [0.0] * 8
    for p, term in enumerate(terms):
        part[p % 8] += float(term)
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))
