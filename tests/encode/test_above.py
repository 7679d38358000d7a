"""All atoms above a threshold: the plain float64 statement, where rows match few atoms and where all."""

from __future__ import annotations

import core
import numpy as np
import pytest
from oracle import eight_sums

import latom


def plain(X, atoms, metric, threshold, bias):
    """Scores [n, m] in float64, in the core's order of summation, and which lie above."""
    dots = eight_sums(X, atoms)
    x2 = eight_sums(X, X).diagonal()[:, None]
    w2 = eight_sums(atoms, atoms).diagonal()[None, :]
    if metric == "dot":
        score = dots + (0 if bias is None else bias)
    elif metric == "cosine":
        inverse = np.divide(1, np.sqrt(w2), out=np.zeros_like(w2), where=w2 > 0)
        of_x = np.divide(1, np.sqrt(x2), out=np.zeros_like(x2), where=x2 > 0)
        score = np.clip((dots * inverse) * of_x, -1, 1)
    else:
        score = np.minimum(0, 2 * (dots + -0.5 * w2) - x2)
    return score, score > threshold


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("metric", "threshold"),
    [
        ("dot", 5.0),
        ("dot", -1e9),
        ("dot", 1e9),
        ("cosine", 0.2),
        ("cosine", 0.0),
        ("euclidean", -40.0),
        ("euclidean", 0.0),
    ],
)
def test_above_is_the_plain_statement(metric, threshold, dtype, isa):
    rng = np.random.default_rng(4)
    X, atoms = rng.standard_normal((90, 25)), rng.standard_normal((700, 25))
    atoms[7] = X[3]  # at distance 0
    X[5] = 0
    bias = rng.standard_normal(700) if metric == "dot" else None
    X, atoms = X.astype(dtype), atoms.astype(dtype)
    score, match = plain(X, atoms, metric, threshold, bias)
    for n_threads in (1, 3):
        indptr, indices, values = core.AtomIndex(atoms, bias, metric).above(X, "", threshold, n_threads)
        assert np.array_equal(indptr, np.r_[0, match.sum(axis=1).cumsum()])
        assert np.array_equal(indices, np.nonzero(match)[1])
        assert np.array_equal(values, score[match].astype(dtype))


def test_rows_that_match_many_atoms_among_rows_that_match_few():
    rng = np.random.default_rng(0)
    X, atoms = (
        rng.standard_normal((300, 16)).astype(np.float32),
        rng.standard_normal((3000, 16)).astype(np.float32),
    )
    X[::37] *= 100
    _, match = plain(X, atoms, "dot", 8.0, None)
    indptr, indices, _ = core.AtomIndex(atoms).above(X, "", 8.0)
    assert match.sum(axis=1).max() > 1000 > 64 > match.sum(axis=1).min()
    assert np.array_equal(indptr, np.r_[0, match.sum(axis=1).cumsum()])
    assert np.array_equal(indices, np.nonzero(match)[1])


def test_threshold_must_be_a_number():
    index = core.AtomIndex(np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match="above: threshold must be a number"):
        index.above(np.eye(3, dtype=np.float32), "", float("nan"))


def test_above_finds_what_brute_force_finds(rng):
    X, W = rng.standard_normal((40, 9)), rng.standard_normal((300, 9))
    bias = rng.standard_normal(300)
    scores = X @ W.T
    matches = latom.above(X, W, 4.0, bias=bias)
    assert matches.shape == (40, 300)
    assert matches.has_sorted_indices
    assert np.array_equal(matches.toarray() != 0, scores + bias > 4.0)
    distances = np.sqrt(((X[:, None] - W[None]) ** 2).sum(axis=2))
    near = latom.above(X, W, -(2.5**2), metric="euclidean")
    assert np.array_equal(near.toarray() != 0, distances < 2.5)
    assert np.allclose(np.sqrt(-near.data), distances[near.nonzero()])
    assert latom.above(X.astype(np.float16), W.astype(np.float32), 1e9).nnz == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": "high"}, "above: threshold must be a number"),
        ({"threshold": float("nan")}, "above: threshold must be a number"),
        ({"threshold": 1.0, "metric": "cosine", "bias": np.ones(3)}, "above: bias must be None"),
        ({"threshold": 1.0, "metric": "manhattan"}, "above: metric must be"),
    ],
)
def test_above_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        latom.above(np.eye(3), np.eye(3), **arguments)
