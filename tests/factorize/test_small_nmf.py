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
