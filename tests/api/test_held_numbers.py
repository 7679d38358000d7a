"""Numbers that come in at the edge of their type: refused with a message, or right; never NaN in silence."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom

TINY = np.random.default_rng(4).standard_normal((24, 16)).astype(np.float32) * np.float32(1e-42)


def test_half_precision_with_nan_is_refused_where_nan_means_nothing():
    X = np.abs(np.random.default_rng(0).standard_normal((20, 8))).astype(np.float16)
    X[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"MiniBatchNMF.* NaN"):
        latom.MiniBatchNMF(3, random_state=0).fit(X)
    assert np.isfinite(latom.NMF(3, random_state=0, max_iter=5, tol=0).fit_transform(X)).all()


@pytest.mark.parametrize(
    "fit",
    [
        lambda X: latom.CUR(6, 6, random_state=0).fit(X),
        lambda X: latom.TruncatedSVD(3, random_state=0).fit(X),
        lambda X: latom.FastRP(8, normalize=True, weights=(1.0,), random_state=0).fit(
            sp.csr_array(np.abs(X[:16]))
        ),
    ],
    ids=["CUR", "TruncatedSVD", "FastRP"],
)
def test_subnormal_float32_gives_finite_results_or_a_message(fit):
    refused, model = "", None
    try:
        model = fit(TINY)
    except ValueError as error:
        refused = str(error)
    if model is None:
        assert "must have" in refused
        assert "Scale X to numbers of about 1" in refused
    else:
        assert all(np.isfinite(v).all() for v in vars(model).values() if isinstance(v, np.ndarray))


def test_numbers_whose_squares_leave_float64_are_refused():
    X = np.random.default_rng(1).standard_normal((40, 3)) * 1e200
    X[::5, 1] = np.nan
    with pytest.raises(ValueError, match=r"LowRankImputer.fit_transform: X must have .* Scale X"):
        latom.LowRankImputer(1).fit_transform(X)


@pytest.mark.parametrize("dtype", ["auto", b"x", np.zeros((2, 2)), float("nan"), 1j, object])
def test_als_refuses_what_names_no_float(dtype):
    with pytest.raises(ValueError, match=r"dtype must be float32 or float64; got"):
        latom.AlternatingLeastSquares(2, dtype=dtype).fit(sp.csr_array(np.eye(3)))


def test_pmi_of_counts_without_an_entry():
    Z = latom.PMIFactorization(2, random_state=0).fit_transform(sp.csr_array((5, 5), dtype=np.int8))
    assert (Z == 0).all()


def test_the_metric_is_looked_at_before_it_is_used():
    with pytest.raises(ValueError, match="metric must be"):
        latom.kmeans_parallel(np.eye(4), 2, metric=np.zeros(0), sample_weight=np.ones(4))


def test_distances_beyond_float32_are_refused_not_left_out():
    X = np.random.default_rng(2).standard_normal((9, 4)).astype(np.float32) * np.float32(1e30)
    with pytest.raises(ValueError, match=r"scores that float32 holds; got one beyond 3.4e38"):
        latom.NearestNeighbors(n_neighbors=4).fit(X).kneighbors(X)
