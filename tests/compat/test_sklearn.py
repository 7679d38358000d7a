"""latom.compat.sklearn beside scikit-learn: signatures, results, and scikit-learn's own tests."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import host_suite
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.cluster
import sklearn.decomposition
from sklearn.base import clone
from sklearn.decomposition import _nmf

from latom.compat import sklearn as compat

pytestmark = pytest.mark.filterwarnings("ignore:.*Maximum number of iterations")

CLUSTER, DECOMPOSITION = sklearn.cluster, sklearn.decomposition
PAIRS = {
    "KMeans": (compat.KMeans, CLUSTER.KMeans),
    "MiniBatchKMeans": (compat.MiniBatchKMeans, CLUSTER.MiniBatchKMeans),
    "NMF": (compat.NMF, DECOMPOSITION.NMF),
    "MiniBatchNMF": (compat.MiniBatchNMF, DECOMPOSITION.MiniBatchNMF),
    "non_negative_factorization": (
        compat.non_negative_factorization,
        DECOMPOSITION.non_negative_factorization,
    ),
    "SparseCoder": (compat.SparseCoder, DECOMPOSITION.SparseCoder),
    "TruncatedSVD": (compat.TruncatedSVD, DECOMPOSITION.TruncatedSVD),
    "kmeans_plusplus": (compat.kmeans_plusplus, CLUSTER.kmeans_plusplus),
    "SparseCoder.transform": (compat.SparseCoder.transform, DECOMPOSITION.SparseCoder.transform),
    "_initialize_nmf": (compat._initialize_nmf, _nmf._initialize_nmf),
    "_update_coordinate_descent": (compat._update_coordinate_descent, _nmf._update_coordinate_descent),
    "NMF._fit_transform": (compat.NMF._fit_transform, DECOMPOSITION.NMF._fit_transform),
    "KMeans.fit": (compat.KMeans.fit, CLUSTER.KMeans.fit),
    "MiniBatchKMeans.partial_fit": (compat.MiniBatchKMeans.partial_fit, CLUSTER.MiniBatchKMeans.partial_fit),
    "MiniBatchNMF.partial_fit": (compat.MiniBatchNMF.partial_fit, DECOMPOSITION.MiniBatchNMF.partial_fit),
}

_LINES = "verbose prints latom's lines: class, iteration, objective, labels changed, centers moved, seconds"
_PRIVATE = "calls the private method _init_centroids; latom.kmeans_plusplus is tested for what it asks"
_CONTAINER = (
    "greedy k-means++ draws other rows from CSR than from a dense array, and mini-batches end elsewhere"
)
_DRAWS = (
    "hands in a RandomState, from which the SVD of the start draws fewer numbers: nndsvdar fills in others"
)
_ALIAS = "scikit-learn writes into the H handed in: the models compared share one array; latom copies"

# Reviewed differences: what of scikit-learn's tests may fail, and why.
EXPECTED = {
    "test_kmeans_verbose[0.01-lloyd]": _LINES,
    "test_kmeans_verbose[0.01-elkan]": _LINES,
    "test_kmeans_verbose[0-lloyd]": _LINES,
    "test_kmeans_verbose[0-elkan]": _LINES,
    "test_sample_weight_init[42-k-means++]": _PRIVATE,
    "test_sample_weight_init[42-random]": _PRIVATE,
    "test_sample_weight_zero[42-k-means++]": _PRIVATE,
    "test_sample_weight_zero[42-random]": _PRIVATE,
    "test_dense_sparse[42-MiniBatchKMeans-X_csr0]": _CONTAINER,
    "test_dense_sparse[42-MiniBatchKMeans-X_csr1]": _CONTAINER,
    "test_mbnmf_inverse_transform": _DRAWS,
    "test_minibatch_nmf_partial_fit": _ALIAS,
}


@pytest.mark.slow
def test_scikit_learn_tests_pass_but_for_reviewed_differences(tmp_path: Path) -> None:
    modules = ["sklearn.cluster.tests.test_k_means"]
    modules += [
        f"sklearn.decomposition.tests.test_{name}" for name in ("nmf", "truncated_svd", "dict_learning")
    ]
    for package in ("cluster", "decomposition"):  # the modules have markers that this run does not know
        pytest.importorskip(f"sklearn.{package}.tests")
    elsewhere = "sparse_encode_ or test_dict_learning_ or dictionary_learning or memmapped"
    plugin = Path(__file__).parent / "swap_sklearn.py"
    host_suite.check(tmp_path, plugin, modules, EXPECTED, 600, elsewhere)


@pytest.mark.parametrize("name", PAIRS)
def test_signatures_are_scikit_learns(name):
    own, theirs = (
        [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()] for f in PAIRS[name]
    )
    assert own == theirs


@pytest.fixture(params=["dense", "csr"])
def X(request, rng):
    if request.param == "dense":
        return rng.random((60, 24))
    return sp.random(60, 24, 0.2, format="csr", random_state=3)


def both(kind, X, **parameters):
    """An estimator of ours and of scikit-learn's, fitted, with their codes."""
    models = [estimator(**parameters) for estimator in PAIRS[kind]]
    return [(model, model.fit_transform(X)) for model in models]


@pytest.mark.parametrize("init", ["random", "nndsvd", "nndsvda", "nndsvdar", None])
def test_nmf_starts_as_scikit_learn(X, init):
    for own, theirs in zip(
        compat._initialize_nmf(X, 5, init, random_state=3),
        _nmf._initialize_nmf(X, 5, init, random_state=3),
        strict=True,
    ):
        np.testing.assert_allclose(own, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("solver", "loss"), [("cd", 2), ("mu", "frobenius"), ("mu", "kullback-leibler")])
@pytest.mark.parametrize("penalty", [{}, {"alpha_W": 0.01, "alpha_H": 0.02, "l1_ratio": 0.3}])
def test_nmf_makes_the_steps_of_scikit_learn(X, solver, loss, penalty, monkeypatch):
    parameters = dict(n_components=4, solver=solver, beta_loss=loss, random_state=0, max_iter=60, tol=1e-3)
    (_, _), (theirs, W_theirs) = both("NMF", X, **parameters, **penalty)
    # scikit-learn's transform adds the L1 part to a sum that it keeps: it grows with each step
    grows = loss == "kullback-leibler" and "l1_ratio" in penalty
    coded = theirs.transform(X)
    divergence = _nmf._beta_divergence
    for name in ("_fit_coordinate_descent", "_fit_multiplicative_update", "_multiplicative_update_w"):
        monkeypatch.setattr(_nmf, name, None)  # whoever calls them fails
    own = compat.NMF(**parameters, **penalty)
    np.testing.assert_allclose(own.fit_transform(X), W_theirs, rtol=1e-6, atol=1e-9)
    found = own.transform(X)
    if grows:
        l1, l2 = X.shape[1] * 0.01 * np.array([0.3, 0.7])
        ours, its = (
            divergence(X, W, own.components_, 1) + l1 * W.sum() + l2 / 2 * (W**2).sum()
            for W in (found, coded)
        )
        assert ours < its
    else:
        np.testing.assert_allclose(found, coded, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(own.components_, theirs.components_, rtol=1e-6, atol=1e-9)
    assert own.n_iter_ == theirs.n_iter_
    assert own.reconstruction_err_ == pytest.approx(theirs.reconstruction_err_, rel=1e-9)


@pytest.mark.parametrize(
    "parameters",
    [
        {"shuffle": True},
        {"solver": "mu", "beta_loss": 0.5},
        {"solver": "mu", "beta_loss": -1.0},
        {"solver": "mu", "beta_loss": "itakura-saito"},
    ],
)
def test_what_latom_has_not_runs_in_scikit_learn(rng, parameters):
    X = rng.random((30, 8)) + 0.1
    parameters = {"n_components": 3, "init": "random", "random_state": 0, "max_iter": 20, **parameters}
    (own, W), (theirs, W_theirs) = both("NMF", X, **parameters)
    assert (W_theirs == W).all()
    assert (own.transform(X) == theirs.transform(X)).all()


@pytest.mark.parametrize("loss", [2, 1, 0.5])
def test_minibatch_nmf_makes_the_steps_of_scikit_learn(rng, loss):
    X = rng.random((60, 12))
    parameters = dict(n_components=4, beta_loss=loss, random_state=0, batch_size=16, max_iter=20)
    (own, W), (theirs, W_theirs) = both("MiniBatchNMF", X, **parameters, init="nndsvdar")
    np.testing.assert_allclose(W, W_theirs, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(own.transform(X), theirs.transform(X), rtol=1e-6, atol=1e-9)
    assert (own.n_iter_, own.n_steps_) == (theirs.n_iter_, theirs.n_steps_)
    assert own.reconstruction_err_ == pytest.approx(theirs.reconstruction_err_, rel=1e-6)
    own, theirs = (estimator(**parameters) for estimator in PAIRS["MiniBatchNMF"])
    for batch in (X[:20], X[20:40], X[40:]):
        own = pickle.loads(pickle.dumps(own)).partial_fit(batch)
        theirs.partial_fit(batch)
    np.testing.assert_allclose(own.components_, theirs.components_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(own.transform(X), theirs.transform(X), rtol=1e-6, atol=1e-9)
    assert not hasattr(clone(own), "components_")


def test_mini_batches_name_the_class_that_users_know(rng, capsys):
    X = rng.random((30, 6))
    model = compat.MiniBatchNMF(2, random_state=0, max_iter=5, verbose=1).fit(X)
    told = "".join(capsys.readouterr())
    assert "MiniBatchNMF" in told
    assert "_Own" not in told
    with pytest.raises(ValueError, match=r"^MiniBatchNMF\.transform: "):
        model.transform(-X)
    again = pickle.loads(pickle.dumps(model))
    assert (again.transform(X) == model.transform(X)).all()


def test_a_minibatch_fit_forgets_the_loss_before(rng):
    X = rng.random((30, 6))
    model = compat.MiniBatchNMF(2, random_state=0, max_iter=5).fit(X)
    model.set_params(beta_loss=0.5).fit(X)
    theirs = DECOMPOSITION.MiniBatchNMF(2, beta_loss=0.5, random_state=0, max_iter=5).fit(X)
    assert (model.transform(X) == theirs.transform(X)).all()


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_coordinate_sweep_is_that_of_scikit_learn(X, rng, shuffle):
    W, Ht = rng.random((X.shape[1], 3)), rng.random((X.shape[0], 3))
    own, theirs = W.copy(), W.copy()
    # transposed, CSR arrives as CSC: this is how turftopic calls it
    found = compat._update_coordinate_descent(X.T, own, Ht, 0.1, 0.2, shuffle, np.random.RandomState(0))
    wanted = _nmf._update_coordinate_descent(X.T, theirs, Ht, 0.1, 0.2, shuffle, np.random.RandomState(0))
    assert found == pytest.approx(wanted, rel=1e-9)
    np.testing.assert_allclose(own, theirs, rtol=1e-9, atol=1e-12)
    assert not np.allclose(own, W)


@pytest.mark.parametrize("kind", ["KMeans", "MiniBatchKMeans"])
def test_kmeans_has_scikit_learns_parameters_and_no_more(kind, rng):
    own, theirs = (estimator(4, random_state=0) for estimator in PAIRS[kind])
    assert own.get_params() == theirs.get_params()
    X = rng.random((80, 3))
    theirs.fit(X)
    labels = clone(own).fit_predict(X)
    own.fit(X)
    assert (own.labels_ == labels).all()
    assert {name for name in vars(theirs) if name.endswith("_")} <= set(vars(own))
    assert own.inertia_ < 1.2 * theirs.inertia_


def test_functions_return_what_scikit_learns_return(X):
    parameters = dict(n_components=3, init="random", random_state=0, max_iter=30, tol=0)
    own = compat.non_negative_factorization(X, **parameters)
    theirs = DECOMPOSITION.non_negative_factorization(X, **parameters)
    for a, b in zip(own[:2], theirs[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    assert own[2] == theirs[2] == 30
    with pytest.warns(RuntimeWarning, match="provided W or H are ignored"):
        compat.non_negative_factorization(X, own[0], own[1], n_components=3, init="random", tol=0.1)
    fixed, H, _ = compat.non_negative_factorization(X, H=own[1], n_components=3, update_H=False)
    assert H is own[1]
    wanted = DECOMPOSITION.non_negative_factorization(X, H=own[1], n_components=3, update_H=False)[0]
    np.testing.assert_allclose(fixed, wanted, rtol=1e-6, atol=1e-9)
