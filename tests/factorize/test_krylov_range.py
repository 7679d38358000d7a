"""Singular vectors by narrow blocks: many components of large matrices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom
from latom import _core
from latom._base.backend import call
from latom._base.rows import Rows


def with_values(rng, n, d, values):
    """A matrix of these singular values."""
    U, V = (np.linalg.qr(rng.standard_normal((size, len(values))))[0] for size in (n, d))
    return (U * values) @ V.T


SPECTRA = {
    "steps": np.repeat([3.0, 2, 1, 1e-3], [20, 30, 30, 40]),  # more alike than a block has columns
    "falling": 0.97 ** np.arange(120),
    "steep": 0.8 ** np.arange(120),  # X^T X loses what comes last
    "few": np.repeat([2.0, 0], [40, 80]),  # fewer than components
}


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("shape", [(530, 610), (610, 530)])
def test_singular_vectors_are_the_exact_ones(shape, kind, dtype, container, rng):
    S = SPECTRA[kind]
    X = with_values(rng, *shape, S).astype(dtype)
    model = latom.TruncatedSVD(70, n_iter=5, random_state=0)
    codes = model.fit_transform(container(X))
    close = 2e-5 if dtype == np.float32 else 1e-8
    assert np.allclose(model.singular_values_, S[:70], atol=close if kind != "falling" else 1e-3)
    kept = model.singular_values_ > 1e-6
    V = model.components_[kept].astype(np.float64)
    assert kept.sum() == (S[:70] > 1e-6).sum()
    assert np.allclose(V @ V.T, np.eye(len(V)), atol=close)
    assert np.isfinite(codes).all()
    rest = X - codes @ model.components_
    best = np.sqrt((S[70:] ** 2).sum())
    assert np.linalg.norm(rest) <= best * 1.01 + 100 * close
    assert (np.abs(model.components_).max(axis=1) == model.components_.max(axis=1)).all()


def test_blocks_find_as_much_as_power_iterations(rng):
    X = sp.random(1500, 900, 0.02, random_state=0, format="csr", dtype=np.float32)
    exact = np.linalg.svd(X.toarray().astype(np.float64))[1][:80]
    core, context = Rows("f", sp.csr_array(X)).core, call("f", None, 0)
    start = rng.standard_normal((900, 90)).astype(np.float32)
    powers = _core.randomized_svd(context, core, 80, 10, 5, None, start)[1]  # a start means power iterations
    blocks = latom.TruncatedSVD(80, random_state=0).fit(X).singular_values_
    assert (exact - blocks).sum() <= 0.9 * (exact - powers).sum()
    assert (blocks <= exact * (1 + 1e-6)).all()


def test_the_same_bits_for_threads_variants_and_index_widths():
    X = sp.random(640, 530, 0.05, random_state=0, format="csr", dtype=np.float32)
    wide = X.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    found, before = set(), _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads, rows in ((1, X), (2, wide), (5, X)):
                model = latom.TruncatedSVD(70, random_state=3, n_threads=threads).fit(rows)
                found.add((model.singular_values_.tobytes(), model.components_.tobytes()))
    finally:
        _core.set_isa(before)
    assert len(found) == 1
