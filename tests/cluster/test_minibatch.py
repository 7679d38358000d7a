"""Mini-batch k-means: scikit-learn's contract, rules to stop, replacement of light centers, batches."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from oracle import check_labels, corpus, dense
from sklearn.cluster import MiniBatchKMeans as SklearnMiniBatchKMeans
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom.cluster import minibatch_estimator

BOTH = [latom.MiniBatchKMeans, latom.MiniBatchSphericalKMeans]
WHOLE = {latom.MiniBatchKMeans: latom.KMeans, latom.MiniBatchSphericalKMeans: latom.SphericalKMeans}

_DRAWS = "batches are draws of rows: weights and repeated rows draw different ones, as in scikit-learn's own"


def expected_failed_checks(estimator):
    """Checks that cannot pass, each with its reason."""
    return {
        "check_sample_weight_equivalence_on_dense_data": _DRAWS,
        "check_sample_weight_equivalence_on_sparse_data": _DRAWS,
    }


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([cls() for cls in BOTH], expected_failed_checks=expected_failed_checks)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def X():
    return corpus(np.random.default_rng(0), 900, 60, 6)


def test_arguments_are_those_of_scikit_learn():
    ours, theirs = latom.MiniBatchKMeans().get_params(), SklearnMiniBatchKMeans().get_params()
    assert theirs.items() <= ours.items()


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("make", [lambda A: A, lambda A: A.toarray(), lambda A: A.toarray().astype(float)])
def test_comes_near_the_whole(cls, make, X):
    A = make(X)
    km = cls(6, batch_size=100, max_no_improvement=30, random_state=1).fit(A)
    whole = WHOLE[cls](6, random_state=1, n_init=3).fit(A)
    assert km.inertia_ < 1.1 * whole.inertia_
    assert (km.predict(A) == km.labels_).all()
    assert np.isclose(-km.score(A), km.inertia_)
    check_labels(A, km.cluster_centers_, km.labels_, km._metric, 1e-6)
    assert km.cluster_centers_.dtype == A.dtype
    assert km.n_iter_ == np.ceil(km.n_steps_ * 100 / 900)
    assert len(km.history_) == km.n_steps_
    if cls is latom.MiniBatchSphericalKMeans:
        assert np.allclose(np.linalg.norm(dense(km.cluster_centers_), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("cls", BOTH)
def test_same_seed_same_answer_for_every_thread_count(cls, X):
    fits = [cls(6, batch_size=64, random_state=3, n_threads=t).fit(X) for t in (1, 2, 5)]
    for km in fits[1:]:
        assert (dense(km.cluster_centers_) == dense(fits[0].cluster_centers_)).all()
        assert km.inertia_ == fits[0].inertia_
    again = pickle.loads(pickle.dumps(fits[0]))
    assert (again.predict(X) == fits[0].labels_).all()


@pytest.mark.parametrize("cls", BOTH)
def test_sparse_centers(cls, X):
    for asked in (None, False, True):
        km = cls(5, sparse_centers=asked, random_state=0).fit(X)
        sparse = cls is latom.MiniBatchSphericalKMeans if asked is None else asked
        assert sp.issparse(km.cluster_centers_) == sparse
        assert sp.issparse(km.partial_fit(X[:50]).cluster_centers_) == sparse


def test_weights_are_shares_of_the_draws(X):
    w = np.zeros(900)
    w[:200] = np.linspace(1, 2, 200)
    km = latom.MiniBatchKMeans(1, batch_size=50, max_iter=300, max_no_improvement=None, random_state=0)
    center = km.fit(X, sample_weight=w).cluster_centers_[0]
    mean = w @ dense(X) / w.sum()
    plain = dense(X)[:200].mean(axis=0)
    assert np.abs(center - mean).max() < 0.02 < np.abs(dense(X).mean(axis=0) - mean).max()
    assert np.abs(center - mean).sum() < np.abs(center - plain).sum()


def test_a_running_mean():
    """With labels that stay, centers are means of all rows so far; weights count."""
    A = np.array([[0.0, 0], [0, 2], [10, 0], [10, 4]])
    km = latom.MiniBatchKMeans(2, init=np.array([[0.0, 1], [10, 1]]), reassignment_ratio=0)
    km.partial_fit(A, sample_weight=[1, 3, 1, 1])
    assert np.allclose(km.cluster_centers_, [[0, 1.5], [10, 2]])
    assert km.labels_.tolist() == [0, 0, 1, 1]
    assert np.isclose(km.inertia_, 1.5**2 + 3 * 0.5**2 + 4 + 4)  # with the centers as they are now
    km.partial_fit(np.array([[1.0, 1.5]]), sample_weight=[4])
    assert np.allclose(km.cluster_centers_, [[0.5, 1.5], [10, 2]])
    assert km.n_steps_ == 2


def test_a_batch_of_float64_does_not_round_to_centers_of_float32():
    km = latom.MiniBatchKMeans(1).partial_fit(np.zeros((1, 1), np.float32))
    assert km.cluster_centers_.dtype == np.float32
    km.partial_fit(np.array([[2e-60]]))
    assert km.cluster_centers_.dtype == np.float64
    assert float(km.cluster_centers_[0, 0]) == 1e-60


@pytest.mark.parametrize("cls", BOTH)
def test_rules_to_stop(cls, X, capsys):
    common = {"batch_size": 90, "random_state": 0, "max_iter": 20}
    assert cls(6, max_no_improvement=None, **common).fit(X).n_steps_ == 200
    patient, hasty = (cls(6, max_no_improvement=k, **common).fit(X).n_steps_ for k in (20, 2))
    assert hasty < patient < 200
    km = cls(6, max_no_improvement=None, tol=1e-2, verbose=1, **common).fit(X)
    assert 1 < km.n_steps_ < 200
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == km.n_steps_ + 1
    assert "Converged (small centers change)" in lines[-1]
    steps = []
    km = cls(6, max_no_improvement=None, callback=lambda s: steps.append(s) or len(steps) == 7, **common)
    assert km.fit(X).n_steps_ == 7
    assert [s.iteration for s in steps] == list(range(1, 8))
    assert isinstance(steps[0], latom.MiniBatchState)


def test_without_labels_inertia_is_estimated(X):
    km = latom.MiniBatchKMeans(6, compute_labels=False, batch_size=100, random_state=1).fit(X)
    assert not hasattr(km, "labels_")
    assert abs(km.inertia_ / -km.score(X) - 1) < 0.2


@pytest.mark.parametrize("cls", BOTH)
def test_light_centers_are_replaced(cls, X):
    """One center starts so far that no row is ever its own."""
    start = dense(X[:4])
    start[3] = -1000 * np.ones(60)
    kept, replaced = (
        cls(4, init=start, reassignment_ratio=ratio, batch_size=100, random_state=0).fit(X)
        for ratio in (0.0, 0.01)
    )
    assert (kept.labels_ != 3).all()
    assert kept.history_["replaced"].sum() == 0
    assert (replaced.labels_ == 3).any()
    assert replaced.history_["replaced"][0] == 1


def test_replacement_takes_at_most_half_of_the_batch_and_evens_counts(monkeypatch):
    class Steps:
        def __init__(self, counts):
            self.have, self.got = np.array(counts, float), None

        def counts(self):
            return self.have.copy()

        def set_counts(self, counts):
            self.have = counts

        def replace(self, context, X, rows, clusters):
            self.got = rows, clusters

    class Batch:
        n = 4

    rng = np.random.RandomState(0)
    km = latom.MiniBatchKMeans(6, reassignment_ratio=0.1)
    steps = Steps([0, 5, 0, 100, 1, 0])
    assert km._replace(None, steps, Batch, rng) == 2
    assert steps.got[1].tolist() == [0, 2]
    assert len(set(steps.got[0])) == 2
    assert steps.have.tolist() == [0, 5, 0, 100, 1, 0]  # the lightest that stays
    steps = Steps([9, 50, 100])
    assert km._replace(None, steps, Batch, rng) == 1
    assert steps.have.tolist() == [50, 50, 100]
    km.reassignment_ratio = 0
    assert km._replace(None, steps, Batch, rng) == 0
    km.reassignment_ratio = 7  # all are light, but one stays
    Batch.n = 8
    assert km._replace(None, Steps([3, 3, 3]), Batch, rng) == 2
    km._unreplaced = 0
    times = [km._is_time_to_replace(Steps([1]), 25) for _ in range(6)]
    assert times == [False, False, True, False, False, True]  # every 10 * n_clusters rows
    assert km._is_time_to_replace(Steps([0, 1]), 1)
    assert minibatch_estimator.PATIENT_ROWS == 10


def test_starts(X):
    assert latom.MiniBatchKMeans(4).fit(X)._n_init == 1
    assert latom.MiniBatchKMeans(4, init="random").fit(X)._n_init == 3
    with pytest.warns(RuntimeWarning, match="Explicit initial center position passed"):
        assert latom.MiniBatchKMeans(4, init=X[:4], n_init=2).fit(X)._n_init == 1
    rows = []

    def init(A, k, random_state):
        rows.append(A.shape[0])
        return A[:k] if len(rows) == 2 else 0 * A[:k] + 1e3

    km = latom.MiniBatchKMeans(4, init=init, init_size=77, max_iter=1, batch_size=900, random_state=0).fit(
        X.toarray()
    )
    assert rows == [77] * 3
    assert km.history_["objective"][0] < 1e3  # the second start was the best


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 0}, "batch_size must be a positive integer; got 0"),
        ({"max_no_improvement": -1}, "max_no_improvement must be an integer of at least 0; got -1"),
        ({"init_size": 0}, "init_size must be"),
        ({"compute_labels": "no"}, "compute_labels must be True or False; got 'no'"),
        ({"reassignment_ratio": -0.1}, "reassignment_ratio must be a finite number of at least 0; got -0.1"),
        ({"n_init": "all"}, "n_init must be a positive integer or 'auto'; got 'all'. Use 'auto'."),
        ({"sparse_centers": 3}, "sparse_centers must be True or False; got 3"),
        ({"tol": -1}, "tol must be a finite number of at least 0; got -1"),
        ({"n_clusters": 901}, "n_samples=900 should be >= n_clusters=901"),
        ({"device": "tpu"}, "device must be None"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_parameters_say_what_to_do(change, words, method, X):
    with pytest.raises(ValueError, match=words) as error:
        getattr(latom.MiniBatchKMeans(**{"n_clusters": 4, **change}), method)(X)
    assert str(error.value).startswith(f"MiniBatchKMeans.{method}: ")


def test_clusters_stay_between_batches(X):
    km = latom.MiniBatchKMeans(4).partial_fit(X)
    with pytest.raises(ValueError, match="n_clusters must stay 4 between batches; got 5"):
        km.set_params(n_clusters=5).partial_fit(X)


def test_zero_rows_are_counted(X):
    A = X.toarray()
    A[[3, 9]] = 0
    with pytest.warns(UserWarning, match="2 rows of X are zero"):
        latom.MiniBatchSphericalKMeans(4, random_state=0).fit(sp.csr_array(A))


@pytest.mark.parametrize("cls", [*BOTH, latom.KMeans, latom.SphericalKMeans])
def test_half_precision(cls, X):
    half = X.toarray().astype(np.float16)
    for estimator in (cls(4, random_state=0), cls(4, init=half[:4], random_state=0)):
        a, b = (estimator.fit(Y).cluster_centers_ for Y in (half, half.astype(np.float32)))
        assert a.dtype == np.float32
        assert np.array_equal(a, b)
        a, b = (estimator.fit(half).partial_fit(Y[:50]).cluster_centers_ for Y in (half, half.astype("f4")))
        assert np.array_equal(a, b)
