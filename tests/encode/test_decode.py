"""decode against float64 numpy: containers, order, threads, errors."""

from __future__ import annotations

import core
import numpy as np
import pytest
import scipy.sparse as sp
from oracle import random_rows

import latom


@pytest.fixture
def X(rng):
    return rng.standard_normal((150, 40)).astype(np.float32)


@pytest.fixture
def W(rng):
    return rng.standard_normal((300, 40)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 15, 16, 40, 300])
def test_decode_is_the_product(dtype, d, rng):
    W = rng.standard_normal((70, d)).astype(dtype)
    b = rng.standard_normal(d)
    codes = random_rows(rng, 90, 70, density=0.2).astype(dtype)
    tol = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}
    expected = codes.toarray().astype(np.float64) @ W.astype(np.float64)
    assert np.allclose(latom.decode(codes, W), expected, **tol)
    result = latom.decode(codes, W, b_pre=b)
    assert np.allclose(result, expected + b, **tol)
    assert result.dtype == dtype
    assert result.shape == (90, d)


def test_decode_takes_every_container(X, W):
    value, index = latom.topk(X, W, 8, activation="relu")
    codes = latom.encode(X, W, 8)
    reference = latom.decode(codes, W)
    wide = sp.csr_array(
        (codes.data, codes.indices.astype(np.int64), codes.indptr.astype(np.int64)), shape=codes.shape
    )
    for other in (sp.csr_matrix(codes), wide, codes.tocsc(), codes.tocoo()):
        assert latom.decode(other, W).tobytes() == reference.tobytes()
    for pair in ((value, index), (value, index.astype(np.int64)), (value, index.astype(np.uint16))):
        assert np.allclose(latom.decode(pair, W), reference, rtol=1e-5, atol=1e-5)
    assert np.allclose(
        latom.decode((value[:, ::2], index[:, ::2]), W),
        latom.decode((value[:, ::2].copy(), index[:, ::2].copy()), W),
    )
    assert latom.decode(codes, W.astype(np.float64)).dtype == np.float64
    assert np.allclose(latom.decode(codes, W.astype(np.float16)), reference, rtol=0.01, atol=0.05)


@pytest.mark.parametrize("d", [40, 700])
def test_decode_does_not_depend_on_threads_or_variant(d, rng):
    # Many codes of large atoms: columns are cut into slices.
    m = 4096
    W = rng.standard_normal((m, d)).astype(np.float32)
    index = rng.integers(0, m, (1200, 8)).astype(np.int32)
    value = rng.standard_normal((1200, 8)).astype(np.float32)
    expected = np.zeros((1200, d), np.float32)
    for p in range(8):
        expected += value[:, p, None] * W[index[:, p]]
    before = core.isa()
    try:
        for isa in core.available_isas():
            core.set_isa(isa)
            for threads in (1, 2, 5):
                got = latom.decode((value, index), W, n_threads=threads)
                assert got.tobytes() == expected.tobytes(), (isa, threads)
    finally:
        core.set_isa(before)


def test_k_best_of_an_orthonormal_basis_explain_what_they_must(rng):
    """Fraction of variance unexplained: with an orthonormal dictionary, the share of the entries dropped."""
    X = rng.standard_normal((200, 32))
    Q = np.linalg.qr(rng.standard_normal((32, 32)))[0]
    mean = X.mean(axis=0)
    P = (X - mean) @ Q.T
    for k in (1, 8, 32):
        codes = latom.encode(X, Q, k, b_pre=mean, activation="abs")
        left = X - latom.decode(codes, Q, b_pre=mean)
        fvu = (left**2).sum() / ((X - mean) ** 2).sum()
        dropped = np.sort(P**2, axis=1)[:, : 32 - k].sum() / (P**2).sum()
        assert np.isclose(fvu, dropped, atol=1e-12)


def test_decode_refuses(W):
    value, index = np.ones((4, 2), np.float32), np.zeros((4, 2), np.int32)
    for stray in (-1, 300, 2**31 - 1):
        wrong = index.copy()
        wrong[[2, 3], 1] = stray
        with pytest.raises(ValueError, match=r"decode: codes must have indices in \[0, 300\).* in row 2"):
            latom.decode((value, wrong), W)
    bad = value.copy()
    bad[[1, 3]] = np.nan
    with pytest.raises(ValueError, match=r"must be finite.*in row 1 of the result"):
        latom.decode((bad, index), W)
    with pytest.raises(ValueError, match=r"must be finite.*in row 0 of the result"):
        latom.decode((np.full((4, 2), 3e38, np.float32), index), np.full((300, 5), 10, np.float32))
    with pytest.raises(ValueError, match=r"decode: codes must be two arrays of one shape"):
        latom.decode((value, index[:, :1]), W)
    with pytest.raises(
        ValueError, match=r"codes must have a column for each of the 300 rows of W_dec; got 299"
    ):
        latom.decode(sp.csr_array((3, 299)), W)
    with pytest.raises(TypeError, match=r"decode: codes must be a sparse matrix or the pair"):
        latom.decode(np.zeros((3, 300)), W)
    with pytest.raises(TypeError, match="integer indices; got float32 and float32"):
        latom.decode((value, value), W)
    with pytest.raises(ValueError, match=r"decode: b_pre must have shape \(40,\)"):
        latom.decode((value, index), W, b_pre=np.ones(39))
    broken = sp.csr_array((np.ones(2), np.zeros(2, np.int32), np.array([0, 1, 2])), shape=(2, 300))
    broken.indptr = np.array([0, 2, 1])
    with pytest.raises(ValueError, match=r"indptr must not decrease"):
        latom.decode(broken, W)


def test_decode_of_nothing(W):
    assert latom.decode(sp.csr_array((3, 300)), W, b_pre=np.arange(40.0)).tolist() == [list(range(40))] * 3
