"""latom.compat.sklearn's neighbors: scikit-learn's own tests, and where each answer comes from."""

from __future__ import annotations

import pickle
from pathlib import Path

import host_suite
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import neighbors as host
from sklearn.base import clone

from latom.compat import sklearn as compat

_TIES = "of equal rows the lowest are neighbors; scikit-learn leaves out another in place of the row itself"

# Reviewed differences: what of scikit-learn's tests may fail, and why.
EXPECTED = {
    f"test_k_and_radius_neighbors_duplicates[{algorithm}]": _TIES
    for algorithm in ("ball_tree", "brute", "kd_tree", "auto")
}
ELSEWHERE = (
    "classifier or regressor or predict or sort_graph or sorted_by or loocv or forcing or semimetric or iris "
    "or digits or no_duplicate or p_less_than_1"
)


@pytest.mark.slow
def test_scikit_learn_tests_pass_but_for_reviewed_differences(tmp_path: Path) -> None:
    module = "sklearn.neighbors.tests.test_neighbors"
    pytest.importorskip("sklearn.neighbors.tests")  # the module has markers that this run does not know
    plugin = Path(__file__).parent / "swap_neighbors.py"
    host_suite.check(tmp_path, plugin, [module], EXPECTED, 200, ELSEWHERE)


@pytest.mark.parametrize("metric", ["euclidean", "minkowski", "cosine"])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_answers_of_brute_force_are_latoms(metric, container, rng, monkeypatch):
    X = container(rng.random((50, 20)))
    own, theirs = (
        module.NearestNeighbors(n_neighbors=4, radius=0.5, metric=metric, algorithm="brute", n_jobs=2).fit(X)
        for module in (compat, host)
    )
    wanted = theirs.kneighbors(X), theirs.radius_neighbors_graph(X).toarray()
    for name in ("kneighbors", "radius_neighbors"):
        monkeypatch.setattr(host.NearestNeighbors, name, None)  # whoever calls it fails
    for model in (own, pickle.loads(pickle.dumps(own)), clone(own).set_params(n_jobs=-1).fit(X)):
        distances, indices = model.kneighbors(X)
        assert (indices == wanted[0][1]).all()
        np.testing.assert_allclose(distances, wanted[0][0], atol=1e-6)  # theirs of a row with itself is not 0
        assert (model.radius_neighbors_graph(X).toarray() == wanted[1]).all()
    assert (own.fit(X[:10]).kneighbors(X[:10], 1, return_distance=False)[:, 0] == np.arange(10)).all()


def test_other_metrics_and_trees_are_scikit_learns(rng):
    X = rng.random((50, 3))
    for parameters in ({"metric": "manhattan"}, {"algorithm": "kd_tree"}, {"metric": "minkowski", "p": 3}):
        own, theirs = (module.NearestNeighbors(**parameters).fit(X) for module in (compat, host))
        assert own._latom() is None
        for mine, other in zip(own.kneighbors(), theirs.kneighbors(), strict=True):
            assert (mine == other).all()
