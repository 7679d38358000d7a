"""Rows in a type that the core computes in reach it where they lie."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from front_door import ESTIMATORS, FUNCTIONS, RNG

from latom import _core

DENSE = (RNG.random((40, 6)) + 0.1).round(2)
DOORS = FUNCTIONS | ESTIMATORS
# Rows in three dimensions, problems of few rows or another matrix than X are what these compute with.
OTHERS = {"LowRankImputer.fit", "CUR.fit"}
DENSE_ONLY = {
    "kmeans_batch", "matching_pursuit", "orthogonal_matching_pursuit", "pool_tokens", "ward_batch",
    "LowRankImputer.fit",
    "SemiNMF.fit", "ITDA.fit", "MatchingPursuit.transform", "ThresholdEncoder.transform", "TopKEncoder.fit",
    "TopKEncoder.transform", "encode",
}  # fmt: skip


@pytest.fixture
def taken(monkeypatch):
    """All that the core is given as rows."""
    seen = []
    prepare = _core.prepare

    def noted(context, X, *rest):
        seen.append(X)
        return prepare(context, X, *rest)

    monkeypatch.setattr(_core, "prepare", noted)
    return seen


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("door", sorted(set(DOORS) - OTHERS))
def test_dense_rows_are_not_copied(door, dtype, taken):
    X = DENSE.astype(dtype)
    DOORS[door](X)
    assert any(not isinstance(given, tuple) and np.shares_memory(given, X) for given in taken)


@pytest.mark.parametrize("width", [np.int32, np.int64])
@pytest.mark.parametrize("door", sorted(set(DOORS) - OTHERS - DENSE_ONLY))
def test_sparse_rows_are_not_copied(door, width, taken):
    X = sp.csr_array(DENSE)
    X.indices, X.indptr = X.indices.astype(width), X.indptr.astype(width)
    DOORS[door](X)
    assert any(
        isinstance(given, tuple)
        and np.shares_memory(given[1], X.indices)
        and np.shares_memory(given[2], X.data)
        for given in taken
    )


@pytest.mark.parametrize("door", ["topk", "above", "encode", "TopKEncoder.transform"])
def test_half_precision_is_not_copied_for_topk(door, taken):
    X = DENSE.astype(np.float16)
    DOORS[door](X)
    assert any(np.shares_memory(given, X) for given in taken)
