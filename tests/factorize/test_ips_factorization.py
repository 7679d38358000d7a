"""IPSFactorization: the singular value decomposition that it must find, propensities, the logistic link."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from latom import IPSFactorization


def clicks(rng, n=60, m=40, density=0.15):
    X = sp.random_array((n, m), density=density, rng=rng, format="csr")
    X.data[:] = 1
    return X


def lowered(R, k, penalty):
    """The minimum of |R - U V^T|^2 + penalty (|U|^2 + |V|^2): singular values of R, lowered."""
    left, values, right = np.linalg.svd(R, full_matrices=False)
    values = np.maximum(values - penalty, 0)
    values[k:] = 0
    return (left * values) @ right


def popularity(X, power, clip):
    counts = np.asarray(X.sum(axis=0)).ravel()
    return np.maximum((counts / counts.max()) ** power, clip)


@pytest.mark.parametrize("k", [1, 5, 24])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_identity_link_is_the_lowered_decomposition(k, dtype, rng):
    X = clicks(rng, 30, 24)
    R = X.toarray() / popularity(X, 0.7, 0.3)
    model = IPSFactorization(
        k, power=0.7, clip=0.3, regularization=1.2, max_iter=1000, tol=0, random_state=0
    ).fit(X.astype(dtype))
    found = model.user_factors.astype(np.float64) @ model.item_factors.T
    expected = lowered(R, k, 1.2)
    assert model.user_factors.dtype == dtype
    assert np.abs(found - expected).max() < (1e-6 if dtype == "float64" else 2e-4)
    objective = model.history_["objective"]
    assert (np.diff(objective) <= (1e-9 if dtype == "float64" else 1e-4) * np.abs(objective[1:])).all()
    U, V = model.user_factors.astype(np.float64), model.item_factors.astype(np.float64)
    loss = ((R - U @ V.T) ** 2).sum() - (R**2).sum() + 1.2 * ((U**2).sum() + (V**2).sum())
    assert np.isclose(objective[-1], loss / 2, rtol=1e-5)


def test_an_iteration_solves_the_normal_equations_of_each_row(rng):
    X = clicks(rng)
    R = X.toarray() / popularity(X, 0.5, 0.1)
    steps = []

    def keep(state):
        steps.append((model.user_factors.copy(), model.item_factors.copy()))

    model = IPSFactorization(4, max_iter=2, tol=0, random_state=3, callback=keep)
    model.fit(X)
    (_, V), (U, last) = steps
    for i in range(60):
        assert np.allclose(U[i], np.linalg.solve(V.T @ V + np.eye(4), V.T @ R[i]), rtol=1e-6, atol=1e-12)
    for j in range(40):
        assert np.allclose(
            last[j], np.linalg.solve(U.T @ U + np.eye(4), U.T @ R[:, j]), rtol=1e-6, atol=1e-12
        )


def test_propensities_say_the_same_in_every_form(rng):
    X = clicks(rng)
    theta = rng.uniform(0.2, 1, 40)
    given = {
        "items": theta,
        "pairs": np.tile(theta, (60, 1)),
        "list": theta.tolist(),
        "sparse": sp.csr_array(X.toarray() * theta),
    }
    fits = {
        name: IPSFactorization(3, propensity=value, max_iter=5, random_state=0).fit(X).user_factors
        for name, value in given.items()
    }
    for name, found in fits.items():
        assert np.array_equal(found, fits["items"]), name
    none = IPSFactorization(3, propensity=None, max_iter=5, random_state=0).fit(X)
    ones = IPSFactorization(3, propensity=np.ones(40), max_iter=5, random_state=0).fit(X)
    power = IPSFactorization(3, power=0, max_iter=5, random_state=0).fit(X)
    assert np.array_equal(none.user_factors, ones.user_factors)
    assert np.array_equal(none.user_factors, power.user_factors)
    clipped = IPSFactorization(3, propensity=theta, clip=2, max_iter=5, random_state=0).fit(X)
    halves = IPSFactorization(3, propensity=np.full(40, 2.0), max_iter=5, random_state=0).fit(X)
    assert np.array_equal(clipped.user_factors, halves.user_factors)


@pytest.mark.parametrize("link", ["identity", "logistic"])
def test_fits_are_the_same_for_threads(link, rng):
    X = clicks(rng, 300, 200)
    one = IPSFactorization(6, link=link, max_iter=4, random_state=5, n_threads=1).fit(X)
    for threads in (2, 5):
        other = clone(one).set_params(n_threads=threads).fit(X)
        assert np.array_equal(one.user_factors, other.user_factors)
        assert np.array_equal(one.item_factors, other.item_factors)
        assert (one.history_["objective"] == other.history_["objective"]).all()


def exposed(rng, n=400, m=80):
    """Relevance by groups; what is popular is seen, what is not is seldom seen."""
    groups = rng.integers(0, 4, m)
    relevance = np.where(rng.integers(0, 4, n)[:, None] == groups, 0.8, 0.05)
    theta = 0.6 * (np.arange(1, m + 1) / m) ** 2 + 0.03
    Y = (rng.random((n, m)) < relevance) & (rng.random((n, m)) < theta)
    return sp.csr_array(Y.astype(np.float64)), theta, relevance


@pytest.mark.parametrize("link", ["identity", "logistic"])
def test_rare_items_are_judged_by_relevance(link, rng):
    """With true propensities, rare items that are liked stand out; without, they do not."""
    X, theta, relevance = exposed(rng)
    options = {"link": link, "max_iter": 150, "random_state": 0, "tol": 0, "clip": 0.01}
    if link == "logistic":
        options["regularization"] = 0.05
    rare = slice(0, 40)

    def means(propensity):
        model = IPSFactorization(6, propensity=propensity, **options).fit(X)
        s = model.user_factors.astype(float) @ model.item_factors.T
        s = (s if link == "identity" else 1 / (1 + np.exp(-s)))[:, rare]
        liked = relevance[:, rare] > 0.5
        return s[liked].mean(), s[~liked].mean()

    weighted, plain = means(theta), means(None)
    assert weighted[0] > 3 * weighted[1]
    assert plain[0] < 0.12 < 0.2 < weighted[0]


def test_weight_is_that_of_pairs_without_a_click(rng):
    X = clicks(rng, 200, 100)
    low, high = (
        IPSFactorization(4, link="logistic", weight=w, max_iter=60, random_state=0, tol=0).fit(X)
        for w in (0.1, 3)
    )

    def mean(model):
        return (1 / (1 + np.exp(-model.user_factors.astype(float) @ model.item_factors.T))).mean()

    assert mean(low) > 1.5 * mean(high)


@pytest.mark.parametrize("link", ["identity", "logistic"])
def test_new_users_are_folded_in(link, rng):
    X = clicks(rng, 80, 40, 0.2)
    model = IPSFactorization(4, link=link, max_iter=60, random_state=0, power=0.7).fit(X)
    factors = model.recalculate_user(np.arange(80), X)
    if link == "identity":  # the solution for users with the items' last factors
        V, R = model.item_factors.astype(np.float64), X.toarray() / popularity(X, 0.7, 0.1)
        wanted = np.linalg.solve(V.T @ V + np.eye(4), V.T @ R.T).T
        assert np.abs(factors - wanted).max() < 1e-8
    else:
        same = (factors * model.user_factors).sum(axis=1)
        lengths = np.linalg.norm(factors, axis=1) * np.linalg.norm(model.user_factors, axis=1)
        assert np.median(same / lengths) > 0.5
    ids, _ = model.recommend(5, X[[5]], N=3, recalculate_user=True)
    assert not np.isin(ids, X[[5]].indices).any()
    assert not model.recalculate_user(0, sp.csr_array((1, 40))).any()
    of_pairs = IPSFactorization(4, propensity=np.full((80, 40), 0.5), max_iter=2).fit(X)
    with pytest.raises(ValueError, match="propensity must be one of each item for new users"):
        of_pairs.recalculate_user(0, X[[0]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"link": "probit"}, "link must be"),
        ({"weight": 2}, "weight must be 1 with link='identity'; got 2"),
        ({"regularization": 0}, "regularization must be above 0"),
        ({"propensity": "random"}, "propensity must be"),
        ({"propensity": np.ones(3)}, r"propensity must have shape \(40,\); got \(3,\)"),
        ({"propensity": np.ones((3, 40))}, r"propensity must have shape \(60, 40\)"),
        ({"propensity": np.zeros(40)}, "propensity must be finite and above 0"),
        ({"propensity": sp.csr_array((60, 40))}, "propensity must be finite and above 0"),
        ({"clip": 0}, "clip must be a positive number"),
        ({"power": -1}, "power must be"),
        ({"tol": -1}, "tol must be"),
    ],
)
def test_wrong_parameters_are_refused(change, words, rng):
    with pytest.raises((ValueError, TypeError), match=f"^IPSFactorization.fit: {words}"):
        IPSFactorization(3, **change).fit(clicks(rng))
