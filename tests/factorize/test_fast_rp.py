"""FastRP against repeated products, and PMI factorization against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom
from latom import _core
from latom._base.backend import call
from latom._base.rows import Rows


def graph(n=300, density=0.03, dtype=np.float64, seed=0):
    A = sp.random(n, n, density, random_state=seed, format="csr")
    dense = (A + A.T).toarray().astype(dtype)
    dense[5] = dense[:, 5] = 0  # a node without links
    return sp.csr_array(dense)


def projection(A, width, density, seed=0):
    """R, by itself."""
    core = Rows("f", A).core
    return _core.projected_powers(
        call("f", None, seed), core, width, density, None, [1.0], False, False, False, True, False
    )[0]


def powers(A, R, count, transition):
    A = A.toarray().astype(np.float64)
    if transition:
        sums = A.sum(axis=1, keepdims=True)
        A = np.divide(A, sums, out=np.zeros_like(A), where=sums > 0)
    found = [R.astype(np.float64)]
    for _ in range(count):
        found.append(A @ found[-1])
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["sparse", "gaussian"])
@pytest.mark.parametrize("transition", [True, False])
@pytest.mark.parametrize("width", [1, 15, 40])
def test_embeddings_are_repeated_products(width, transition, kind, dtype, isa):
    A = graph(dtype=dtype)
    R = projection(A, width, 1 / np.sqrt(300) if kind == "sparse" else 0.0)
    U = powers(A, R, 4, transition)
    close = 1e-5 if dtype == np.float32 else 1e-12
    options = {"projection": kind, "transition": transition, "random_state": 0, "standardize": False}
    for weights in [(0, 0, 1, 1), (1.0,), (0.5, -2)]:
        model = latom.FastRP(width, weights, **options)
        wanted = sum(w * u for w, u in zip(weights, U[1:], strict=False))
        got = model.fit_transform(A)
        scale = np.abs(wanted).max()
        assert got.dtype == dtype
        assert np.allclose(got, wanted, atol=close * scale)
        assert np.allclose(model.transform(A), got, atol=10 * close * scale)
    beside = latom.FastRP(width, None, normalize=True, **options)
    lengths = [np.linalg.norm(u, axis=1, keepdims=True) for u in U]
    wanted = [u / np.where(length > 0, length, 1) for u, length in zip(U[1:4], lengths[1:], strict=False)]
    got = beside.fit_transform(A)
    assert np.allclose(got, np.concatenate(wanted, axis=1), atol=100 * close)
    assert np.allclose(beside.transform(A), got, atol=1000 * close)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
def test_the_projection_has_the_moments_it_says(density):
    R = projection(graph(2000, 0.001), 64, density)
    assert np.isclose(R.var() * 64, 1, atol=0.03)
    assert abs(R.mean()) < 3 * R.std() / np.sqrt(R.size)
    G = R @ R.T  # rows are nearly orthogonal and of length 1: distances are preserved
    assert np.isclose(np.diag(G).mean(), 1, atol=0.03)
    assert abs(G[0, 1:]).mean() < 0.15
    if density:
        shown = R[R != 0]
        assert np.isclose((R != 0).mean(), density, rtol=0.06)
        assert np.allclose(np.abs(shown), 1 / np.sqrt(64 * density))
        assert abs(np.sign(shown).mean()) < 0.06


def test_degrees_weigh_rows_of_the_projection():
    A = graph()
    R = projection(A, 8, 1 / np.sqrt(300))
    degrees = A.sum(axis=1)
    factor = np.where(degrees > 0, (np.maximum(degrees, 1e-9) / degrees.sum()) ** -0.5, 0)
    model = latom.FastRP(8, (0, 1), beta=-0.5, standardize=False, random_state=0)
    assert np.allclose(model.fit_transform(A), powers(A, R * factor[:, None], 2, True)[2])


def test_a_graph_without_links_has_no_degrees_to_divide_by():
    found = latom.FastRP(3, beta=-0.5, random_state=0).fit_transform(sp.csr_array((6, 6)))
    assert not found.any()  # and nothing has warned


def test_columns_are_standardized_and_names_are_given():
    A = graph()
    model = latom.FastRP(12, random_state=1)
    Z = model.fit_transform(A)
    assert np.allclose(Z.mean(axis=0), 0, atol=1e-12)
    assert np.allclose(Z.std(axis=0), 1)
    assert np.allclose(model.transform(A), Z)
    assert (latom.FastRP(12, random_state=1).fit_transform(A.toarray()) == Z).all()
    assert len(model.get_feature_names_out()) == 12


def test_the_same_bits_for_threads_and_variants():
    A, found, before = graph(500, dtype=np.float32), set(), _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 5):
                model = latom.FastRP(20, normalize=True, random_state=0, n_threads=threads)
                found.add(model.fit_transform(A).tobytes())
    finally:
        _core.set_isa(before)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("arguments", "X", "words"),
    [
        ({}, np.ones((3, 4)), "X must be square"),
        ({}, -np.eye(3), "X must not be negative"),
        ({"n_components": 0}, np.eye(3), "n_components must be"),
        ({"weights": (0, 0)}, np.eye(3), "weights must be finite numbers"),
        ({"weights": ()}, np.eye(3), "weights must be finite numbers"),
        ({"weights": (1, np.nan)}, np.eye(3), "weights must be finite numbers"),
        ({"beta": np.inf}, np.eye(3), "beta must be a finite number"),
        ({"projection": "dense"}, np.eye(3), "projection must be 'sparse' or 'gaussian'"),
        ({"normalize": 2}, np.eye(3), "normalize must be True or False"),
        ({}, np.full((3, 3), np.nan), "NaN"),
    ],
)
def test_refusals(arguments, X, words):
    with pytest.raises(ValueError, match=r"FastRP\.fit: ") as error:
        latom.FastRP(**arguments).fit(X)
    assert words in str(error.value)


# ---- PMI


def information(X, shift=0.0):
    total = X.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(X * total / np.outer(X.sum(axis=1), X.sum(axis=0))) - shift
    return np.where(X > 0, pmi, 0)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_without_weights_it_is_the_svd_of_positive_information(container, rng):
    X = rng.poisson(1.5, (60, 40)).astype(np.float64)
    for shift in (0.0, 0.4):
        model = latom.PMIFactorization(40, shift=shift, random_state=0, n_iter=3)
        Z = model.fit_transform(container(X))
        assert np.allclose(Z @ model.components_, np.maximum(information(X, shift), 0), atol=1e-9)
        assert np.allclose(model.transform(container(X)), Z, atol=1e-8)
    capped = latom.PMIFactorization(40, cap=2.0, random_state=0).fit(container(X))
    wanted = np.log(np.minimum(np.maximum(X, 1), 2) * X.sum() / np.outer(X.sum(axis=1), X.sum(axis=0)))
    wanted = np.where(X > 0, np.maximum(wanted, 0), 0)
    assert np.allclose(capped.singular_values_[:5], np.linalg.svd(wanted)[1][:5])


def test_with_weights_rows_are_solutions_and_the_loss_never_rises(rng):
    X = sp.csr_array(rng.poisson(1.0, (50, 30)).astype(np.float64))
    model = latom.PMIFactorization(4, weighting="arora", cap=2.0, l2=0.3, n_iter=8, random_state=0)
    Z = model.fit_transform(X)
    assert (np.diff(model.losses_) <= 1e-9 * model.losses_[0]).all()
    P, F = information(X.toarray()), model.components_.T
    for i in (0, 7, 49):
        seen = X.toarray()[i] > 0
        w = np.minimum(X.toarray()[i][seen], 2)
        A = (F[seen] * w[:, None]).T @ F[seen] + 0.3 * np.eye(4)
        assert np.allclose(Z[i], np.linalg.solve(A, F[seen].T @ (w * P[i, seen])))
    assert np.allclose(model.transform(X), Z)


def test_windows_count_walks(rng):
    A = graph(60, 0.1)
    dense = A.toarray()
    P = np.divide(
        dense, dense.sum(axis=1, keepdims=True), out=np.zeros_like(dense), where=dense.sum(1)[:, None] > 0
    )
    counts = dense @ (np.eye(60) + P + P @ P) / 3
    model = latom.PMIFactorization(60, window=3, random_state=0)
    Z = model.fit_transform(A)
    wanted = np.zeros((60, 60))
    seen = counts > 0
    outer = np.outer(counts.sum(axis=1), counts.sum(axis=0))
    wanted[seen] = np.maximum(np.log(counts[seen] * counts.sum() / outer[seen]), 0)
    assert np.allclose(Z @ model.components_, wanted, atol=1e-8)


@pytest.mark.parametrize("options", [{}, {"weighting": "arora", "n_iter": 2}, {"window": 3}])
def test_information_has_the_same_bits_for_threads_and_variants(options):
    A, found, before = graph(200, dtype=np.float32), set(), _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 5):
                model = latom.PMIFactorization(9, random_state=0, n_threads=threads, **options)
                found.add(model.fit_transform(A).tobytes())
    finally:
        _core.set_isa(before)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_components": 9}, "n_components must be at most"),
        ({"shift": -1}, "shift must be"),
        ({"cap": 0}, "cap must be a positive number"),
        ({"weighting": "more"}, "weighting must be"),
        ({"window": 2}, "X must be square with window > 1"),
        ({"power": 2}, "power must be"),
        ({"l2": 0}, "l2 must be a positive number"),
        ({"n_iter": 0}, "n_iter must be"),
    ],
)
def test_refusals_of_information(arguments, words):
    with pytest.raises(ValueError, match=r"PMIFactorization\.fit: ") as error:
        latom.PMIFactorization(**{"n_components": 2, **arguments}).fit(np.ones((5, 4)))
    assert words in str(error.value)
    with pytest.raises(ValueError, match="must not be negative"):
        latom.PMIFactorization(2).fit(-np.ones((5, 4)))
