"""Entries left out by a mask: what it may be, and that a sparse one stays sparse."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

import latom

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
OPTIONS = {"init": "random", "random_state": 0, "max_iter": 30, "tol": 0}


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("nan", [False, True])
def test_all_ways_to_say_what_is_missing_agree(share, nan, rng):
    X = rng.random((40, 30))
    observed = rng.random(X.shape) < share
    observed[:, 0] = True
    hidden = rng.random(X.shape) < 0.1 if nan else np.zeros(X.shape, bool)
    given = np.where(hidden, np.nan, np.where(observed, X, 7.0))
    kept = observed & ~hidden
    wanted = latom.NMF(3, **OPTIONS).fit(np.where(kept, X, np.nan))
    twice = sp.coo_array((np.ones(2 * observed.sum(), bool), np.tile(observed.nonzero(), 2)), X.shape)
    for data in (given, sp.csr_array(given)):
        found = [
            latom.NMF(3, **OPTIONS).fit(data, mask=mask)
            for mask in (observed, observed.tolist(), sp.csr_array(observed), sp.csc_matrix(observed), twice)
        ]
        for model in found:
            assert np.array_equal(model.components_, found[0].components_)
            assert model.reconstruction_err_ == found[0].reconstruction_err_
        if data is given:
            assert np.array_equal(found[0].components_, wanted.components_)
        elif share > 0.1:  # with less, other roundings of products lead to other optima
            np.testing.assert_allclose(found[0].components_, wanted.components_, rtol=1e-6, atol=1e-9)
    # The loss is that of what is observed.
    W = wanted.transform(np.where(kept, X, np.nan))
    rest = np.where(kept, X - W @ wanted.components_, 0)
    assert -wanted.score(np.where(kept, X, np.nan)) == pytest.approx((rest**2).sum() / 2, rel=1e-6)


def test_a_sparse_mask_stays_sparse():
    n, d = 3000, 6000
    S = sp.random_array((n, d), density=1e-3, rng=np.random.default_rng(0), format="csr")
    tracemalloc.start()
    try:
        latom.NMF(5, init="random", max_iter=2, random_state=0).fit(S, mask=S != 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n * d / 2  # bytes; a boolean array takes twice as many


@pytest.mark.parametrize(
    "mask", [np.ones((5, 4)), [[True, False]], [[True], [True, False]], "mask", sp.csr_array((5, 4)), 1]
)
def test_other_masks_are_refused(mask):
    for call in (latom.NMF(2).fit, latom.NMF(2, max_iter=2).fit(np.ones((5, 4))).transform):
        with pytest.raises(ValueError, match=r"mask must be boolean of the shape of X, \(5, 4\), True where"):
            call(np.ones((5, 4)), mask=mask)


@pytest.mark.filterwarnings("ignore:Sparse CS. tensor support is in beta")
def test_a_mask_may_be_a_sparse_tensor(rng):
    torch = pytest.importorskip("torch")
    X, observed = rng.random((20, 15)), rng.random((20, 15)) < 0.6
    wanted = latom.NMF(3, **OPTIONS).fit(X, mask=sp.csr_array(observed))
    tensor = torch.tensor(observed)
    for mask in (tensor.to_sparse(), tensor.to_sparse_csc()):
        assert np.array_equal(latom.NMF(3, **OPTIONS).fit(X, mask=mask).components_, wanted.components_)
    with pytest.raises(ValueError, match=r"mask must be boolean of the shape of X"):
        latom.NMF(3, **OPTIONS).fit(X, mask=tensor.to_sparse().float())


def test_a_mask_whose_parts_lead_past_it_is_refused():
    mask = sp.coo_array(np.ones((5, 4), bool))
    mask.row[0] = 10**6  # scipy would write there
    with pytest.raises(ValueError, match=r"NMF\.fit: mask\.row must lie in \[0, 5\)"):
        latom.NMF(2).fit(np.ones((5, 4)), mask=mask)
