"""MiniBatchNMF and nmf_batch beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from factors import matrix, start
from sklearn.decomposition import NMF as SklearnNMF
from sklearn.decomposition import MiniBatchNMF as SklearnMiniBatchNMF

import latom

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_minibatch_is_scikit_learns(rng):
    for sparse in (False, True):
        for loss in (1, 2):
            X = matrix(rng, 130, 30, sparse=sparse)
            first = start(rng, X, 4)
            options = {
                "init": "custom", "batch_size": 32, "max_iter": 5, "beta_loss": loss, "alpha_W": 0.01,
                "l1_ratio": 0.5, "transform_max_iter": 20,
            }  # fmt: skip
            theirs = SklearnMiniBatchNMF(4, **options)
            W = theirs.fit_transform(X, **{name: A.copy() for name, A in first.items()})
            ours = latom.MiniBatchNMF(4, **options)
            assert np.allclose(ours.fit_transform(X, **first), W, rtol=1e-6, atol=1e-9)
            assert np.allclose(ours.components_, theirs.components_, rtol=1e-6, atol=1e-9)
            assert np.isclose(ours.reconstruction_err_, theirs.reconstruction_err_, rtol=1e-8)
            assert (ours.n_iter_, ours.n_steps_) == (theirs.n_iter_, theirs.n_steps_)
            theirs, ours = SklearnMiniBatchNMF(4, **options), latom.MiniBatchNMF(4, **options)
            for rows in np.array_split(np.arange(130), 4):
                theirs.partial_fit(X[rows], W=first["W"][rows], H=first["H"].copy())
                ours.partial_fit(X[rows], W=first["W"][rows], H=first["H"])
            assert np.allclose(ours.components_, theirs.components_, rtol=1e-6, atol=1e-9)
            assert np.allclose(ours.transform(X), theirs.transform(X), rtol=1e-6, atol=1e-9)


def test_minibatch_stops_where_scikit_learn_does(rng):
    """By the smoothed cost, after batches of 40 and one of 10."""
    steps = []
    for patience in (1, 2, 3):
        X = matrix(rng, 130, 30)
        first = start(rng, X, 4)
        options = {"init": "custom", "batch_size": 40, "max_no_improvement": patience, "tol": 0.0}
        theirs = SklearnMiniBatchNMF(4, **options).fit(X, **{name: A.copy() for name, A in first.items()})
        ours = latom.MiniBatchNMF(4, **options).fit(X, **first)
        assert (ours.n_iter_, ours.n_steps_) == (theirs.n_iter_, theirs.n_steps_)
        steps.append(ours.n_steps_)
    assert max(steps) < 200 * 4
    assert len(set(steps)) > 1


def test_batch_of_small_problems(rng):
    X = matrix(rng, 40, 20)
    runs = latom.nmf_batch(X, 3, 6, random_state=0)
    again = latom.nmf_batch(X, 3, 6, random_state=0)
    assert (runs.loss == again.loss).all()
    assert len(set(runs.loss)) == 6
    best = runs.loss.argmin()
    assert np.isclose(runs.loss[best], np.linalg.norm(X - runs.W[best] @ runs.H[best]) ** 2 / 2)
    reference = SklearnNMF(3, max_iter=500).fit(X).reconstruction_err_ ** 2 / 2
    assert runs.loss[best] < 1.05 * reference
    with pytest.raises(ValueError, match="inits must be an integer or starts"):
        latom.nmf_batch(X, 3, (np.ones((2, 40, 3)), np.ones((2, 4, 20))))
    with pytest.raises(ValueError, match="not negative"):
        latom.nmf_batch(-X, 3, 2)
    with pytest.raises(ValueError, match="a start for each"):
        latom.nmf_batch(np.stack([X, X]), 3, 3)


def plain_extrapolated(X, w, h, iterations, grow=1.05, grow_most=1.01, shrink=1.5):
    """One component, whose half-steps are exact: (w, h, loss) after each iteration."""
    beta, most, best, plain = 0.5, 1.0, np.inf, True
    kept_w, kept_h, last = w, h, np.zeros_like(w)
    found = []
    for _ in range(iterations):
        new_w = np.maximum(X @ h / (h @ h), 0)
        ahead = new_w if plain else np.maximum(new_w + beta * (new_w - last), 0)
        last = new_w
        new_h = np.maximum(ahead @ X / (ahead @ ahead), 0)
        loss = ((X - np.outer(ahead, new_h)) ** 2).sum() / 2
        plain = not plain and loss > best
        if plain:
            h, most, beta = kept_h, beta, beta / shrink
        else:
            best, kept_w = loss, ahead
            h, kept_h = np.maximum(new_h + beta * (new_h - kept_h), 0), new_h
            most = min(1, grow_most * most)
            beta = min(most, grow * beta)
        found.append((kept_w, kept_h, best))
    return found


def test_extrapolated_steps_are_those_of_a_plain_loop(isa, rng):
    X = rng.random((30, 20))
    w, h = rng.random(30), rng.random(20)
    undone, before = 0, np.inf
    for iterations, (W, H, loss) in enumerate(plain_extrapolated(X, w, h, 8), 1):
        found = latom.nmf_batch(X, 1, (w[None, :, None], h[None, None]), tol=0, max_iter=iterations)
        assert np.allclose(found.W[0, :, 0], W, rtol=1e-9)
        assert np.allclose(found.H[0, 0], H, rtol=1e-9)
        assert np.isclose(found.loss[0], loss, rtol=1e-9)
        undone += loss == before
        before = loss
    assert undone


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_never_rises_beyond_rounding_and_what_only_rounding_moves_ends(dtype, rng):
    X = (rng.random((60, 5)) @ rng.random((5, 40)) + 0.1 * rng.random((60, 40))).astype(dtype)
    starts = rng.random((3, 60, 6)).astype(dtype), rng.random((3, 6, 40)).astype(dtype)
    losses = np.array([latom.nmf_batch(X, 6, starts, tol=0, max_iter=i).loss for i in range(1, 60)])
    assert (np.diff(losses, axis=0) <= np.finfo(dtype).eps * (X**2).sum() / 4).all()
    ended = latom.nmf_batch(X, 6, starts, tol=0, max_iter=100_000)
    assert (ended.n_iter < 30_000).all()
    assert (ended.loss <= losses[-1]).all()
