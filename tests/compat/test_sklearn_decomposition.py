"""latom.compat.sklearn's truncated SVD, sparse coder and k-means++ beside scikit-learn's."""

from __future__ import annotations

import inspect
import pickle
import re

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import cluster, decomposition
from sklearn.base import clone

from latom.compat import sklearn as compat


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_truncated_svd_is_scikit_learns(container, dtype, rng, monkeypatch):
    scales = 2.0 ** -np.arange(20)
    X = container((rng.normal(size=(80, 20)) * scales @ rng.normal(size=(20, 20))).astype(dtype))
    own, theirs = (
        module.TruncatedSVD(4, n_iter=12, random_state=0).fit(X) for module in (compat, decomposition)
    )
    rough = 2e-3 if dtype == np.float32 else 1e-7
    for name in (
        "singular_values_",
        "components_",
        "explained_variance_",
        "explained_variance_ratio_",
    ):
        ours, wanted = getattr(own, name), getattr(theirs, name)
        np.testing.assert_allclose(ours, wanted, rtol=rough, atol=rough)
        assert ours.dtype == dtype
    assert own.n_features_in_ == 20
    for model in (own, pickle.loads(pickle.dumps(own))):
        np.testing.assert_allclose(model.transform(X), theirs.transform(X), rtol=rough, atol=10 * rough)
    codes = clone(own).fit_transform(X)
    np.testing.assert_allclose(codes, own.transform(X), rtol=rough, atol=rough)
    assert list(own.get_feature_names_out()) == list(theirs.get_feature_names_out())
    monkeypatch.setattr(decomposition.TruncatedSVD, "fit_transform", None)  # whoever calls it fails
    compat.TruncatedSVD(4, power_iteration_normalizer="LU").fit(X)
    with pytest.raises(TypeError, match="NoneType"):
        compat.TruncatedSVD(4, algorithm="arpack").fit(X)


def test_what_latoms_svd_has_not_is_scikit_learns(rng):
    X = rng.normal(size=(30, 9))
    for parameters in ({"algorithm": "arpack"}, {"power_iteration_normalizer": "none"}):
        own, theirs = (
            module.TruncatedSVD(3, random_state=1, **parameters).fit(X) for module in (compat, decomposition)
        )
        assert (own.components_ == theirs.components_).all()
    with pytest.raises(ValueError, match=r"n_components\(10\) must be <= n_features\(9\)"):
        compat.TruncatedSVD(10).fit(X)
    with pytest.raises(ValueError, match="'n_iter' parameter"):
        compat.TruncatedSVD(2, n_iter=-1).fit(X)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"transform_n_nonzero_coefs": 3, "n_jobs": 1},
        {"transform_n_nonzero_coefs": 3, "transform_alpha": 0.5, "n_jobs": -1},
        {"split_sign": True},
        {"transform_algorithm": "threshold"},
        {"transform_algorithm": "threshold", "transform_alpha": 0.3, "positive_code": True},
        {"transform_algorithm": "threshold", "transform_alpha": 0.3, "split_sign": True},
        {"transform_algorithm": "lasso_lars", "transform_alpha": 0.1},
        {"transform_algorithm": "lars"},
        {"transform_algorithm": "lasso_cd", "transform_alpha": 0.4, "positive_code": True},
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:Objective did not converge")  # of scikit-learn's own lasso in float32
def test_codes_are_scikit_learns(parameters, dtype, rng, monkeypatch):
    atoms = rng.normal(size=(30, 25)).astype(dtype)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    X = rng.normal(size=(40, 25)).astype(dtype)
    own, theirs = (module.SparseCoder(atoms, **parameters).fit(X) for module in (compat, decomposition))
    wanted = theirs.set_params(n_jobs=None).transform(X)  # without processes
    back = theirs.inverse_transform(wanted)
    if parameters.get("transform_algorithm", "omp") in ("omp", "threshold"):
        monkeypatch.setattr(decomposition.SparseCoder, "transform", None)  # whoever calls it fails
    found = own.transform(X)
    assert found.shape == wanted.shape
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=2e-5 if dtype == np.float32 else 1e-9)
    np.testing.assert_allclose(own.inverse_transform(found), back, atol=1e-4)
    assert (clone(own).fit_transform(X) == found).all()
    assert list(own.get_feature_names_out()) == list(theirs.get_feature_names_out())


def test_more_components_than_rows_are_scikit_learns(rng):
    X = rng.normal(size=(5, 12))
    own, theirs = (module.TruncatedSVD(12, random_state=0).fit(X) for module in (compat, decomposition))
    assert own.components_.shape == (5, 12)
    assert (own.components_ == theirs.components_).all()


def test_thresholds_take_no_heed_of_a_count(rng):
    atoms, X = rng.normal(size=(20, 25)), rng.normal(size=(6, 25))
    options = {"transform_algorithm": "threshold", "transform_n_nonzero_coefs": 25}
    own, theirs = (module.SparseCoder(atoms, **options) for module in (compat, decomposition))
    np.testing.assert_allclose(own.fit_transform(X), theirs.fit_transform(X))
    assert (compat.SparseCoder(atoms.tolist(), **options).transform(X) == own.transform(X)).all()


def test_refusals_of_codes_name_what_users_wrote(rng):
    X = rng.random((3, 4))
    with pytest.raises(ValueError, match=r"SparseCoder\.transform: n_jobs must be a positive integer; got 0"):
        compat.SparseCoder(np.eye(4), n_jobs=0).transform(X)
    with pytest.raises(ValueError, match=r"^SparseCoder\.transform: transform_n_nonzero_coefs must"):
        compat.SparseCoder(np.eye(4), transform_n_nonzero_coefs=9).transform(X)


def test_positive_pursuit_is_refused_in_scikit_learns_words(rng):
    with pytest.raises(ValueError, match="Positive constraint not supported for 'omp'"):
        compat.SparseCoder(np.eye(4), positive_code=True).fit_transform(rng.random((3, 4)))


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_kmeans_plusplus_draws_by_scikit_learns_law(container):
    rows = np.repeat(np.array([[0.0, 1], [9, 9], [-8, 4], [5, -7]]), 8, axis=0)
    X = container(rows + 0.01 * np.arange(32)[:, None])
    weights = np.repeat([1.0, 1, 1, 0], 8)
    for seed in range(5):
        centers, indices = compat.kmeans_plusplus(X, 4, random_state=seed)
        theirs = cluster.kmeans_plusplus(X, 4, random_state=seed)
        assert type(centers) is type(theirs[0]) is np.ndarray
        assert indices.dtype == theirs[1].dtype
        assert (centers == (X[indices].toarray() if sp.issparse(X) else X[indices])).all()
        assert sorted(indices // 8) == sorted(theirs[1] // 8) == [0, 1, 2, 3]
        drawn = compat.kmeans_plusplus(X, 3, sample_weight=weights, random_state=seed)[1]
        assert sorted(drawn // 8) == [0, 1, 2]
    norms = (rows**2).sum(axis=1)
    assert (compat.kmeans_plusplus(X, 2, x_squared_norms=norms, random_state=0)[1] >= 0).all()
    with pytest.raises(ValueError, match=r"length of x_squared_norms 31 should be equal"):
        compat.kmeans_plusplus(X, 2, x_squared_norms=norms[1:])
    with pytest.raises(ValueError, match=r"n_samples=32 should be >= n_clusters=33"):
        compat.kmeans_plusplus(X, 33)


@pytest.mark.parametrize("name", compat.__all__)
def test_docstrings_name_every_parameter(name):
    public = getattr(compat, name)
    told = set(re.findall(r"\w+", inspect.getdoc(public).split("Parameters\n")[1].split("Examples\n")[0]))
    assert set(inspect.signature(public).parameters) <= told
