"""MatchingPursuit beside scikit-learn's SparseCoder."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import SparseCoder
from sklearn.linear_model import orthogonal_mp

import latom


@pytest.fixture
def atoms(rng):
    made = rng.standard_normal((40, 25))
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {"transform_algorithm": "omp"},
        {"transform_algorithm": "omp", "transform_n_nonzero_coefs": 7},
        {"transform_algorithm": "threshold", "transform_alpha": 0.8},
        {"transform_algorithm": "threshold", "transform_alpha": 0.3, "positive_code": True},
        {"transform_algorithm": "threshold"},
    ],
)
def test_codes_are_those_of_sparse_coder(arguments, split, atoms, rng):
    X = rng.standard_normal((30, 25))
    theirs = SparseCoder(atoms, split_sign=split, **arguments)
    ours = latom.MatchingPursuit(atoms, split_sign=split, **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = theirs.transform(X)
    codes = ours.fit(X).transform(X)
    assert np.abs(codes.toarray() - want).max() < 1e-8
    assert np.array_equal(
        latom.MatchingPursuit(atoms, sparse_output=False, **arguments).transform(X),
        latom.MatchingPursuit(atoms, **arguments).transform(X).toarray(),
    )
    assert np.allclose(ours.inverse_transform(codes), theirs.inverse_transform(want))


def test_alpha_is_a_tolerance_as_scikit_learn_documents(atoms, rng):
    """Its code leaves it out of account."""
    X = rng.standard_normal((30, 25))
    codes = latom.MatchingPursuit(atoms, transform_alpha=8.0).transform(X)
    want = orthogonal_mp(atoms.T, X.T, tol=8.0).T
    assert np.abs(codes.toarray() - want).max() < 1e-8


def test_plain_pursuit_is_the_function(atoms, rng):
    X = rng.standard_normal((9, 25)).astype(np.float32)
    coder = latom.MatchingPursuit(
        atoms, transform_algorithm="mp", transform_n_nonzero_coefs=6, positive_code=True
    )
    want = latom.matching_pursuit(X, atoms, 6, positive=True)
    assert (coder.transform(X) != want).nnz == 0
    again = pickle.loads(pickle.dumps(coder))
    assert (again.transform(X) != want).nnz == 0
    assert clone(coder).get_params()["transform_n_nonzero_coefs"] == 6
    coder.dictionary = atoms[::-1].copy()
    assert (coder.transform(X) != want).nnz


def test_what_scikit_learn_asks_for(atoms, rng):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(rng.standard_normal((9, 25)), columns=[f"c{t}" for t in range(25)])
    coder = latom.MatchingPursuit(atoms, sparse_output=False).set_output(transform="pandas").fit(X)
    frame = coder.transform(X)
    assert list(frame.columns) == [f"matchingpursuit{j}" for j in range(40)]
    assert coder.n_components_ == 40
    assert coder.n_features_in_ == 25
    assert np.array_equal(coder.components_, atoms)
    coder.sparse_output = True
    with pytest.raises(ValueError, match="sparse_output must be False"):
        coder.transform(X)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"transform_algorithm": "lasso_lars"}, "transform_algorithm must be"),
        ({"transform_n_nonzero_coefs": 41}, "transform_n_nonzero_coefs must be"),
        ({"transform_alpha": -1.0}, "transform_alpha must be"),
        ({"positive_code": True}, "positive_code must be False"),
        ({"split_sign": 2}, "split_sign must be"),
    ],
)
def test_wrong_parameters_are_refused(arguments, words, atoms, rng):
    X = rng.standard_normal((3, 25))
    with pytest.raises(ValueError, match=rf"^MatchingPursuit\.transform: {words}"):
        latom.MatchingPursuit(atoms, **arguments).transform(X)
    with pytest.raises(ValueError, match="X must have as many columns as dictionary, 25; got 24"):
        latom.MatchingPursuit(atoms).fit(X[:, 1:])
