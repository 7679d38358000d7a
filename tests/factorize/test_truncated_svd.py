"""TruncatedSVD against exact singular vectors, and CholeskyQR2 against what QR means."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD as SklearnSVD
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom import _core

CONTAINERS = [np.asarray, sp.csr_array, sp.csc_array]


@parametrize_with_checks([latom.TruncatedSVD(1, random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def spread(rng, n, d, rank, base=0.7, dtype=np.float64):
    """Singular values base^0, base^1, ...; about a third of the entries 0."""
    U, V = (np.linalg.qr(rng.standard_normal((rows, rank)))[0] for rows in (n, d))
    return ((U * base ** np.arange(rank)) @ V.T).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("n", "d", "k"), [(150, 90, 7), (40, 130, 16), (33, 20, 20), (9, 7, 1), (1, 5, 1)])
def test_singular_vectors_are_the_exact_ones(n, d, k, container, dtype, rng):
    X = spread(rng, n, d, min(n, d), dtype=dtype)
    U, S, Vt = np.linalg.svd(X.astype(np.float64), full_matrices=False)
    model = latom.TruncatedSVD(k, n_iter=12, random_state=0)
    codes = model.fit_transform(container(X))
    close = 3e-6 if dtype == np.float32 else 1e-9
    assert np.allclose(model.singular_values_, S[:k], atol=close)
    assert np.allclose(codes @ model.components_, (U[:, :k] * S[:k]) @ Vt[:k], atol=10 * close)
    assert np.allclose(model.components_ @ model.components_.T, np.eye(k), atol=close)
    assert codes.dtype == model.components_.dtype == model.singular_values_.dtype == dtype
    assert np.allclose(model.transform(container(X)), codes, atol=close)
    largest = np.abs(model.components_).argmax(axis=1)
    assert (model.components_[np.arange(k), largest] > 0).all()
    share = codes.astype(np.float64).var(axis=0)
    assert np.allclose(model.explained_variance_, share, rtol=1e-4)
    if n > 1:
        total = X.astype(np.float64).var(axis=0).sum()
        assert np.allclose(model.explained_variance_ratio_, share / total, rtol=1e-3, atol=1e-7)


def test_its_numbers_are_scikit_learns(rng):
    X = sp.random(300, 120, 0.1, random_state=0, format="csr")
    ours = latom.TruncatedSVD(6, n_iter=80, random_state=0).fit(X)
    theirs = SklearnSVD(6, n_iter=80, random_state=0).fit(X)
    for name in ("singular_values_", "explained_variance_", "explained_variance_ratio_"):
        assert np.allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6)
    assert np.allclose(ours.components_, theirs.components_, atol=1e-5)
    assert ours.get_feature_names_out()[0] == "truncatedsvd0"


def test_small_singular_values_keep_their_digits(rng):
    """A Gram matrix would square them."""
    X = spread(rng, 80, 50, 8, base=0.1)
    model = latom.TruncatedSVD(8, random_state=0).fit(X)
    assert np.allclose(model.singular_values_, 0.1 ** np.arange(8), rtol=1e-6)


def test_more_components_than_rank(rng):
    X = spread(rng, 60, 40, 5)
    model = latom.TruncatedSVD(9, random_state=0).fit(X)
    assert np.allclose(model.singular_values_[:5], 0.7 ** np.arange(5))
    assert (model.singular_values_[5:] < 1e-12).all()
    assert np.isfinite(model.components_).all()
    assert not latom.TruncatedSVD(2).fit(np.zeros((4, 3))).singular_values_.any()


def test_the_same_bits_for_threads_variants_and_index_widths(rng):
    X = sp.random(700, 300, 0.05, random_state=0, format="csr", dtype=np.float32)
    wide = X.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    first, before = None, _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 5):
                for rows in (X, wide):
                    model = latom.TruncatedSVD(9, random_state=3, n_threads=threads).fit(rows)
                    found = (model.singular_values_.tobytes(), model.components_.tobytes())
                    first = first or found
                    assert found == first
    finally:
        _core.set_isa(before)


def test_half_precision_is_read_in_blocks(rng):
    X = spread(rng, 200, 40, 10).astype(np.float16)
    half = latom.TruncatedSVD(4, random_state=0, n_iter=9).fit(X)
    wide = latom.TruncatedSVD(4, random_state=0, n_iter=9).fit(X.astype(np.float32))
    assert np.allclose(half.components_, wide.components_, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 5, 255, 256, 257, 700])
@pytest.mark.parametrize("width", [16, 32])
def test_orthonormal_columns_and_their_triangle(n, width, dtype, rng, isa):
    Y = rng.standard_normal((n, width)) * 3.0 ** -np.arange(width)
    Y[:, 3] = Y[:, 1] - Y[:, 0]  # depends on others
    Q = Y.astype(dtype)
    R = _core.orthonormalize(_core.Context("f", 3), Q, 2)
    close = 2e-6 if dtype == np.float32 else 1e-13
    kept = np.flatnonzero(np.linalg.norm(Q, axis=0))
    assert len(kept) <= min(n, width - (dtype == np.float64))
    G = Q[:, kept].astype(np.float64).T @ Q[:, kept]
    assert np.allclose(G, np.eye(len(kept)), atol=close)
    assert np.allclose(np.tril(R, -1), 0)
    assert np.allclose(Q.astype(np.float64) @ R, Y.astype(dtype), atol=10 * close)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_components": 0}, "n_components must be a positive integer; got 0"),
        ({"n_components": 7}, "n_components must be at most the rows and the columns of X; got 7"),
        ({"algorithm": "arpack"}, "algorithm must be 'randomized'; got 'arpack'. Raise n_iter"),
        ({"n_iter": -1}, "n_iter must be an integer of at least 0"),
        ({"n_oversamples": 1.5}, "n_oversamples must be an integer of at least 0"),
        ({"power_iteration_normalizer": "LU"}, "power_iteration_normalizer must be 'auto' or 'QR'"),
        ({"tol": -1}, "tol must be a finite number"),
        ({"n_threads": 0}, "n_threads must be"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=r"^TruncatedSVD\.fit: ") as error:
        latom.TruncatedSVD(**arguments).fit(np.ones((8, 6)))
    assert words in str(error.value)
