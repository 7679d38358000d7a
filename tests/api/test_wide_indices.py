"""Columns and entries that 32 bits do not count: taken right, or refused by a message; never cut."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom
from latom._base.csr import csr_of_parts, narrow_csr

WIDE = 2**31 + 5


def wide(n=3, d=WIDE, last=None, dtype=np.float32):
    """A row with an entry in its last column, and others."""
    X = sp.csr_array((n, d), dtype=dtype)
    X.data = np.arange(1, 2 * n + 1, dtype=dtype)
    X.indices = np.array([0, d - 1 if last is None else last] * n, np.int64)
    X.indptr = np.arange(0, 2 * n + 1, 2, dtype=np.int64)
    return X


def stream(X):
    return latom.KMeans(2, init="random", n_init=1, random_state=0).fit(latom.Stream([X]))


CALLS = {
    "assign": lambda X: latom.assign(X, X),
    "topk": lambda X: latom.topk(X, X, 1),
    "KMeans": lambda X: latom.KMeans(2).fit(X),
    "KMeans of a stream": stream,
    "kmeans_plusplus": lambda X: latom.kmeans_plusplus(X, 2),
    "SparseIndex": latom.SparseIndex,
    "queries": lambda X: latom.SparseIndex(sp.csr_array(np.eye(3))).search(X, 1),
    "NearestNeighbors": lambda X: latom.NearestNeighbors(n_neighbors=1).fit(X),
    "silhouette": lambda X: latom.silhouette(X, [0, 0, 1]),
    "NMF": lambda X: latom.NMF(2).fit(X),
    "AlternatingLeastSquares": lambda X: latom.AlternatingLeastSquares(2).fit(X),
    "PointwiseFactorization": lambda X: latom.PointwiseFactorization(2).fit(X),
    "TruncatedSVD": lambda X: latom.TruncatedSVD(1).fit(X),
    "decode": lambda X: latom.decode(X, np.eye(3)),
}


@pytest.mark.parametrize("call", CALLS)
def test_more_columns_than_32_bits_count_are_refused(call):
    with pytest.raises(ValueError, match=r"must .*; got 2147483653\b"):
        CALLS[call](wide())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("last", [2**32 + 1, -(2**32) + 1, 2**63 - 1])
def test_columns_that_would_be_right_in_32_bits_are_refused(call, last):
    with pytest.raises(
        ValueError, match=r"indices must lie in|must have indices in|must have .* columns|must be"
    ):
        CALLS[call](wide(d=3, last=last))


def test_more_entries_than_32_bits_count():
    X = wide(2, 4, 1)
    X.indptr = np.array([0, 2, WIDE], np.int64)  # as where there were so many
    with pytest.raises(ValueError, match=r"f: X must have fewer than 2\^31 stored entries; got 2147483653"):
        narrow_csr("f", X, "X")
    with pytest.raises(ValueError, match="must"):
        stream(X)


def test_results_have_indices_that_hold_their_columns():
    made = csr_of_parts(np.ones(1), np.array([WIDE - 1]), np.array([0, 1]), (1, WIDE))
    assert made.indices.tolist() == [WIDE - 1]
    assert csr_of_parts(np.ones(1), np.array([3]), np.array([0, 1]), (1, 4)).indices.dtype == np.int32


@pytest.mark.parametrize("convert", [sp.csc_array, sp.coo_array, sp.bsr_array, sp.lil_array, sp.csr_matrix])
@pytest.mark.parametrize("width", [np.int32, np.int64])
def test_blocks_of_any_format(convert, width, rng):
    """CSC with indices of 64 bits was read as if it were CSR."""
    X = sp.csr_array(rng.integers(0, 3, (12, 12)).astype(np.float32))
    blocks = [convert(X[a:b]) for a, b in ((0, 5), (5, 12))]
    for block in blocks:
        for part in ("indices", "indptr"):
            if hasattr(block, part):
                setattr(block, part, getattr(block, part).astype(width))
    whole = latom.KMeans(3, init=X[:3], tol=0).fit(X)
    streamed = latom.KMeans(3, init=X[:3], tol=0).fit(latom.Stream(blocks))
    assert (streamed.labels_ == whole.labels_).all()
    assert (streamed.cluster_centers_ == whole.cluster_centers_).all()


def test_operators_of_torch_refuse_what_32_bits_would_cut():
    torch = pytest.importorskip("torch")
    import latom.torch  # noqa: F401

    values, rows, weight = torch.ones(2, 1), torch.ones(2, 3), torch.ones(4, 3)
    for bad in (2**32 + 1, -1, 4):
        at = torch.tensor([[0], [bad]])
        for call in (
            lambda at=at: torch.ops.latom.gather_by_latent(values, at, rows, 4),
            lambda at=at: torch.ops.latom.products_at(rows, at, weight),
            lambda at=at: torch.ops.latom.sparse_linear(values, at, weight, None),
        ):
            with pytest.raises(ValueError, match=r"sparse_linear: .* in \[0, 4\)"):
                call()
