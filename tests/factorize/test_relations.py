"""Relations for an A that stays, starts that are given, and numbers of communities by what fits agree on."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls

import latom
from latom.factorize.rank.alignment import unit_rows

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def communities(seed, n=45, k=3, slices=4, noise=0.0):
    """Overlapping groups of things, and how they meet."""
    rng = np.random.default_rng(seed)
    A = rng.dirichlet(np.full(k, 0.15), n)
    A[np.arange(n), np.arange(n) % k] += 0.5
    R = rng.random((slices, k, k)) * (rng.random((slices, k, k)) < 0.6)
    X = np.stack([A @ r @ A.T for r in R])
    return A, R, X * rng.uniform(1 - noise, 1 + noise, X.shape)


def plain_relations(X, A):
    """The best R_t >= 0, all entries of one at once."""
    M = np.kron(A, A)
    k = A.shape[1]
    return np.stack([nnls(M, x.reshape(-1))[0].reshape(k, k) for x in X])


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(("n", "k", "slices"), [(1, 1, 1), (9, 4, 2), (12, 5, 3)])
def test_relations_for_an_A_are_those_of_plain_least_squares(container, n, k, slices, rng):
    """Where many entries are held at 0, and where columns of A are much alike."""
    for A in (rng.random((n, k)), rng.random((n, 1)) + 0.2 * rng.random((n, k))):
        X = rng.random((slices, n, n)) * (rng.random((slices, n, n)) < 0.5) + np.eye(n)
        wanted = plain_relations(X, A)
        model = latom.RESCAL(k).fit([container(x) for x in X], A=A, update_A=False)
        loss = ((A @ wanted @ A.T - X) ** 2).sum() / 2
        assert np.isclose(model.loss_, loss, rtol=1e-9)
        assert np.isclose(((model.reconstruct() - X) ** 2).sum() / 2, model.loss_, rtol=1e-9)
        assert np.allclose(model.A_, A / A.sum(axis=0))
        assert (model.R_ >= 0).all()
        if k <= 4:
            size = A.sum(axis=0)
            assert np.allclose(model.R_, wanted * np.outer(size, size), rtol=1e-4, atol=1e-4 * wanted.max())
        assert np.allclose(model.transform([container(x) for x in X]), model.R_, rtol=1e-5, atol=1e-8)
        assert model.n_iter_ == 1


def test_relations_of_any_sign_are_those_of_a_pseudo_inverse(rng):
    A, X = rng.standard_normal((9, 3)), rng.standard_normal((2, 9, 9))
    model = latom.RESCAL(3, nonnegative=False).fit(X, A=A, update_A=False)
    inverse = np.linalg.pinv(A)
    assert np.allclose(model.reconstruct(), A @ inverse @ X @ inverse.T @ A.T)
    with pytest.raises(ValueError, match=r"RESCAL\.fit: A must be given with update_A=False; got None"):
        latom.RESCAL(3).fit(np.abs(X), update_A=False)


def test_a_column_of_zeros_relates_to_nothing():
    A, _, X = communities(0)
    A[:, 1] = 0
    model = latom.RESCAL(3).fit(X, A=A, update_A=False)
    assert np.isfinite(model.R_).all()
    assert np.isclose(model.loss_, ((A @ plain_relations(X, A) @ A.T - X) ** 2).sum() / 2)
    later = latom.RESCAL(3, random_state=0, max_iter=5).fit(X, A=A)
    assert (later.A_[:, 1] == 0).all()


def test_a_start_that_is_given_is_the_start():
    A, _, X = communities(1)
    model = latom.RESCAL(3, max_iter=300, tol=0, random_state=0).fit(X, A=A)
    assert model.loss_ < 1e-4 * (X**2).sum()
    assert np.abs(model.A_ - A / A.sum(axis=0)).max() < 0.01
    zeros = A * (A > 0.1)
    kept = latom.RESCAL(3, max_iter=20, random_state=0).fit(X, A=zeros)
    assert (kept.A_[zeros == 0] == 0).all()
    refit = latom.RESCAL(3).fit(X, A=kept.A_, update_A=False)
    assert refit.loss_ <= kept.loss_
    narrow = latom.RESCAL(3, max_iter=3, random_state=0).fit(X.astype(np.float32), A=A)
    assert narrow.A_.dtype == narrow.R_.dtype == np.float32


def test_of_several_starts_the_best_is_kept():
    X = communities(2, noise=0.3)[2]
    many = latom.RESCAL(3, init="random", n_init=3, max_iter=15, random_state=7).fit(X)
    assert many.loss_ <= latom.RESCAL(3, init="random", max_iter=15, random_state=7).fit(X).loss_
    assert len(many.history_) == many.n_iter_
    assert many.history_["objective"][-1] == many.loss_
    seen = []
    tensor = latom.NonNegativeCP(2, n_init=4, max_iter=6, tol=0, random_state=0, callback=seen.append).fit(X)
    ends = [state.objective for state in seen if state.iteration == 6]
    assert len(ends) == 4
    assert tensor.loss_ == min(ends) < max(ends)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_the_planted_number_of_communities_is_found(container):
    A, _, X = communities(3, n=60, k=3, slices=5, noise=0.02)
    slices = [container(x) for x in X]
    estimator = latom.RESCAL(2, n_init=2, max_iter=300, tol=1e-6)
    found = latom.select_n_components(slices, (2, 3, 4), estimator=estimator, n_replicates=4, random_state=0)
    assert found.n_components == 3
    assert found.stability[1] > 0.95
    assert found.components_.shape == (3, 60)
    assert found.replicates[4].shape == (4, 4, 60)
    cosine = unit_rows(found.components_) @ unit_rows(A.T.copy()).T
    assert cosine.max(axis=1).min() > 0.97
    assert len(set(cosine.argmax(axis=1))) == 3
    for k, error in zip(found.candidates, found.error, strict=True):
        model = latom.RESCAL(int(k)).fit(slices, A=found.medians[k].T, update_A=False)
        assert np.isclose(model.reconstruction_err_ / np.linalg.norm(X), error, rtol=1e-6)
        assert np.isclose(np.linalg.norm(model.reconstruct() - X), model.reconstruction_err_, rtol=1e-5)


def test_the_planted_rank_of_a_tensor_is_found(rng):
    truth = [rng.dirichlet(np.full(size, 0.15), 3).T for size in (30, 25, 20)]
    X = np.einsum("ak,bk,ck->abc", *truth) * rng.uniform(0.98, 1.02, (30, 25, 20))
    estimator = latom.NonNegativeCP(2, max_iter=300)
    found = latom.select_n_components(X, (2, 3, 4), estimator=estimator, n_replicates=4, random_state=0)
    assert found.n_components == 3
    assert found.components_.shape == (3, 75)
    for k, error in zip(found.candidates, found.error, strict=True):
        parts = np.split(found.medians[k], [30, 55], axis=1)
        outer = np.stack([np.einsum("a,b,c->abc", *three).reshape(-1) for three in zip(*parts, strict=True)])
        rest = nnls(outer.T, X.reshape(-1))[1]
        assert np.isclose(rest / np.linalg.norm(X), error, rtol=1e-6)


def test_choices_have_the_same_bits_for_threads():
    slices = [sp.csr_array(x) for x in communities(4, n=20)[2]]
    found = [
        latom.select_n_components(
            slices,
            (2, 3),
            estimator=latom.RESCAL(2, max_iter=20, n_threads=1),
            n_replicates=2,
            random_state=0,
            n_threads=threads,
        )
        for threads in (1, 3, None)
    ]
    assert all((one.components_ == found[0].components_).all() for one in found)


@pytest.mark.parametrize(
    ("A", "words"),
    [
        (np.ones((3, 2)), r"A must have a row per thing and a column per component, so shape \(4, 2\)"),
        (-np.ones((4, 2)), "A must "),
        (np.full((4, 2), np.nan), "A must "),
        (np.ones(4), "A must have two dimensions"),
    ],
)
def test_refusals_of_A(A, words):
    with pytest.raises(ValueError, match=rf"RESCAL\.fit: {words}"):
        latom.RESCAL(2).fit(np.ones((2, 4, 4)), A=A)


@pytest.mark.parametrize(
    "X", [np.ones((3, 3)), np.ones(3), [[1.0, 2], [3, 4]], sp.csr_array(np.eye(3)), [1, 2], 3, "x", []]
)
def test_a_single_matrix_is_to_be_put_in_a_list(X):
    with pytest.raises(ValueError, match=r"RESCAL\.fit: X must be a sequence of square matrices.*in a list"):
        latom.RESCAL(1).fit(X)


def test_other_refusals():
    X = np.ones((2, 4, 4))
    model = latom.RESCAL(2, max_iter=2, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"RESCAL\.transform: X must have slices of the 4 things of the fit"):
        model.transform(np.ones((1, 3, 3)))
    X[1, 2, 3] = -5
    with pytest.raises(
        ValueError, match=r"X\[1\] must not be negative with nonnegative=True .*got -5 in row 2"
    ):
        latom.RESCAL(2).fit(X)
    for estimator in (latom.RESCAL(2), latom.NonNegativeCP(2)):
        with pytest.raises(ValueError, match=r"candidates must be integers in \[1, \d+\].*got 99 among them"):
            latom.select_n_components(np.ones((2, 4, 4)), [2, 99], estimator=estimator)
    with pytest.raises(ValueError, match="estimator must have nonnegative=True"):
        latom.select_n_components(X, [2], estimator=latom.RESCAL(2, nonnegative=False))
