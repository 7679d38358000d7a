"""Metrics of codes and dictionaries against plain statements."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from latom.metrics import cooccurrence, dead_share, fvu, jaccard, l0, mean_max_cosine


@pytest.fixture
def codes(rng):
    made = np.where(rng.random((50, 17)) < 0.2, rng.standard_normal((50, 17)), 0)
    made[:, 4] = 0
    return made


def test_fvu_l0_and_dead_share(codes, rng):
    X = rng.standard_normal((80, 9)).astype(np.float32) + 3
    made = X + 0.1 * rng.standard_normal((80, 9)).astype(np.float32)
    wide = X.astype(np.float64)
    want = ((wide - made) ** 2).sum() / ((wide - wide.mean(axis=0)) ** 2).sum()
    assert fvu(X, made) == pytest.approx(want, rel=1e-10)
    assert fvu(X, X) == 0
    assert fvu(wide, np.broadcast_to(wide.mean(axis=0), X.shape).copy()) == pytest.approx(1)
    assert np.isnan(fvu(np.ones((3, 2)), np.ones((3, 2))))
    assert fvu(np.ones((3, 2)), np.zeros((3, 2))) == np.inf
    matrix = sp.csr_array(codes)
    matrix.data[:3] = 0  # stored zeros do not fire
    assert l0(matrix) == np.count_nonzero(matrix.toarray()) / 50
    assert dead_share(matrix) == pytest.approx((matrix.toarray() == 0).all(axis=0).mean())
    assert dead_share(matrix.tocsc()) == dead_share(matrix)


@pytest.mark.parametrize("measure", ["count", "jaccard", "conditional"])
def test_cooccurrence(measure, codes):
    fires = (codes != 0).astype(np.int64)
    together = fires.T @ fires
    counts = fires.sum(axis=0)
    want = together.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        if measure == "jaccard":
            want = together / (counts[:, None] + counts - together)
        elif measure == "conditional":
            want = together / counts[:, None]
    want = np.where(together > 0, want, 0)
    found = cooccurrence(sp.csr_array(codes), measure=measure)
    assert found.has_sorted_indices
    assert found.dtype == (np.int64 if measure == "count" else np.float64)
    assert np.allclose(found.toarray(), want, rtol=1e-15)
    for k in (1, 3, 40):
        few = cooccurrence(sp.csr_array(codes), measure=measure, k=k).toarray()
        for j in range(17):
            rest = np.where(np.arange(17) == j, -1, want[j])
            best = [i for i in np.argsort(-rest, kind="stable")[:k] if rest[i] > 0]
            kept = np.zeros(17)
            kept[best] = want[j, best]
            kept[j] = want[j, j]
            assert np.allclose(few[j], kept, rtol=1e-15)


def test_likeness_of_dictionaries(rng):
    A, B = rng.standard_normal((20, 6)), rng.standard_normal((31, 6))
    cosines = (A @ B.T) / np.linalg.norm(A, axis=1)[:, None] / np.linalg.norm(B, axis=1)
    assert mean_max_cosine(A, B) == pytest.approx(cosines.max(axis=1).mean(), rel=1e-12)
    assert mean_max_cosine(A, np.concatenate([B, 3 * A])) == pytest.approx(1)
    assert jaccard({1, 2}, [2, 3, 2]) == 1 / 3
    assert jaccard(np.array([[1, 2], [3, 4]]), np.array([[3, 4]])) == 0.5
    assert jaccard([], []) == 1


def test_hostile_input():
    with pytest.raises(ValueError, match="fvu: reconstruction must have the shape of X"):
        fvu(np.ones((3, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="fvu: X and reconstruction must be finite"):
        fvu(np.ones((3, 2)), np.full((3, 2), np.nan))
    for call in (l0, dead_share, cooccurrence):
        with pytest.raises(TypeError, match="codes must be a sparse matrix"):
            call(np.eye(3))
        with pytest.raises(ValueError, match="at least one row and one column"):
            call(sp.csr_array((0, 3)))
    with pytest.raises(ValueError, match="cooccurrence: measure must be"):
        cooccurrence(sp.csr_array(np.eye(3)), measure="cosine")
    with pytest.raises(TypeError, match="jaccard: first must be"):
        jaccard([{}], [])


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
def test_sparse_tensors_are_codes(codes):
    torch = pytest.importorskip("torch")
    matrix = sp.csr_array(codes)
    plain = torch.tensor(codes)
    for tensor in (plain.to_sparse(), plain.to_sparse_csr()):
        assert l0(tensor) == l0(matrix)
        assert dead_share(tensor) == dead_share(matrix)
        assert (cooccurrence(tensor) != cooccurrence(matrix)).nnz == 0
