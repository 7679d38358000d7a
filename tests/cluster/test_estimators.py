"""scikit-learn's contract, parameters, history, callbacks, progress."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from oracle import corpus
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.utils.estimator_checks import parametrize_with_checks

import latom
from latom.cluster import kmeans_base

BOTH = [latom.SphericalKMeans, latom.KMeans]
CSR = [sp.csr_matrix, sp.csr_array]

_DRAWS = (
    "k-means++ draws rows by position: weights and repeated rows draw different ones from the same seed, "
    "as in scikit-learn's own KMeans"
)


def expected_failed_checks(estimator):
    """Checks that cannot pass, each with its reason."""
    return {
        "check_sample_weight_equivalence_on_dense_data": _DRAWS,
        "check_sample_weight_equivalence_on_sparse_data": _DRAWS,
    }


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [latom.SphericalKMeans(), latom.KMeans()], expected_failed_checks=expected_failed_checks
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def X():
    return corpus(np.random.default_rng(0), 300, 80, 10)


@pytest.mark.parametrize("cls", BOTH)
def test_sample_weight_is_repetition_from_the_same_start(cls, X):
    w = np.random.default_rng(1).integers(0, 4, 300)
    start = X[:10]
    a = cls(10, init=start, tol=0).fit(X, sample_weight=w)
    keep = np.repeat(np.arange(300), w)
    b = cls(10, init=start, tol=0).fit(X[keep])
    assert np.isclose(a.inertia_, b.inertia_, rtol=1e-6)
    assert (a.labels_[keep] == b.labels_).mean() > 0.99


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("csr", CSR)
def test_sparse_centers_says_in_which_container_centers_come(cls, csr, X):
    assert cls().sparse_centers is None
    for asked in (None, False, True):
        km = cls(5, sparse_centers=asked, random_state=0).fit(csr(X))
        if asked is None:
            asked = cls is latom.SphericalKMeans
        assert type(km.cluster_centers_) is (csr if asked else np.ndarray)
        assert km.cluster_centers_.shape == (5, 80)
        assert km.cluster_centers_.dtype == np.float32
        assert not asked or km.cluster_centers_.has_canonical_format
        assert (km.predict(X) == km.labels_).all()
        assert type(km.partial_fit(csr(X[:9])).cluster_centers_) is (csr if asked else np.ndarray)
        assert isinstance(cls(5, sparse_centers=asked).fit(X.toarray()).cluster_centers_, np.ndarray)


def test_dense_centers_of_much_memory_are_warned_of(X, monkeypatch):
    monkeypatch.setattr("latom.cluster.centers.MUCH", 5 * 80 * 4 - 1)
    with pytest.warns(UserWarning, match=r"KMeans\.fit: cluster_centers_ is dense .*sparse_centers=True"):
        latom.KMeans(5, random_state=0).fit(X)
    for quiet in (latom.KMeans(5, sparse_centers=True), latom.SphericalKMeans(5)):
        quiet.fit(X)
    latom.KMeans(5).fit(X.toarray())
    monkeypatch.undo()
    latom.KMeans(5).fit(X)


@pytest.mark.parametrize("cls", BOTH)
def test_same_answer_for_every_container_and_index_width(cls, X):
    wide = sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)
    fits = [
        cls(6, sparse_centers=True, random_state=3).fit(Y)
        for Y in (X, wide, sp.csr_matrix(X), X.tocsc(), X.tocoo())
    ]
    for km in fits[1:]:
        assert (km.labels_ == fits[0].labels_).all()
        assert km.inertia_ == fits[0].inertia_
        assert (km.cluster_centers_ != fits[0].cluster_centers_).nnz == 0
    assert fits[1].cluster_centers_.indices.dtype == np.int64


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("init", ["k-means++", "random", "array", "csr", "callable"])
def test_every_init(cls, init, X):
    value = {
        "array": X[:4].toarray(),
        "csr": X[:4],
        "callable": lambda X, m, random_state: X[random_state.permutation(X.shape[0])[:m]],
    }.get(init, init)
    a, b = (cls(4, init=value, random_state=7).fit(X) for _ in range(2))
    assert (a.labels_ == b.labels_).all()
    assert len(np.unique(a.labels_)) == 4


def test_scikit_learn_takes_our_seeding(X):
    def init(X, m, random_state):
        return latom.kmeans_plusplus(X, m, metric="euclidean", random_state=random_state)[0].toarray()

    assert SklearnKMeans(4, init=init, n_init=1, random_state=0).fit(X).n_iter_ > 0


@pytest.mark.parametrize("cls", BOTH)
def test_n_init_keeps_the_best(cls, X):
    rng = np.random.RandomState(5)
    single = [cls(8, init="random", n_init=1, random_state=rng).fit(X).inertia_ for _ in range(4)]
    assert cls(8, init="random", n_init=4, random_state=5).fit(X).inertia_ == min(single)
    with pytest.warns(
        RuntimeWarning, match="Explicit initial center position passed: performing only one init"
    ):
        cls(8, init=X[:8], n_init=2).fit(X)


def test_random_states(X):
    reference = latom.SphericalKMeans(5, random_state=0).fit(X).labels_
    assert (latom.SphericalKMeans(5, random_state=0).fit(X).labels_ == reference).all()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for random_state in (None, np.random.default_rng(0), np.random.RandomState(0)):
        latom.SphericalKMeans(5, random_state=random_state).fit(X)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002 (the global one is not touched)
    with pytest.raises(ValueError, match="random_state"):
        latom.kmeans_plusplus(X, 3, random_state="seed")


@pytest.mark.parametrize("cls", BOTH)
def test_history_and_callback(cls, X):
    states = []
    km = cls(6, random_state=0, tol=0, callback=states.append).fit(X)
    assert [s.iteration for s in states] == list(range(1, km.n_iter_ + 1))
    assert km.history_.dtype.names == ("iteration", "objective", "moved", "changed", "seconds", "avoided")
    assert (km.history_["objective"] == [s.objective for s in states]).all()
    assert km.history_["changed"][0] == 300
    assert km.history_["changed"][-1] == 0
    assert (np.diff(km.history_["objective"]) <= 1e-9).all()
    assert cls(6, random_state=0, tol=0, callback=lambda s: s.iteration == 2).fit(X).n_iter_ == 2


def test_max_iter_and_tol(X):
    assert latom.SphericalKMeans(6, max_iter=2, tol=0, random_state=0).fit(X).n_iter_ == 2
    loose = latom.SphericalKMeans(6, tol=0.05, random_state=0).fit(X)
    tight = latom.SphericalKMeans(6, tol=0, random_state=0).fit(X)
    assert loose.n_iter_ < tight.n_iter_
    assert loose.inertia_ >= tight.inertia_


def test_verbose_prints_a_line_an_iteration(X, capsys):
    km = latom.SphericalKMeans(4, verbose=1, random_state=0).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == km.n_iter_
    assert lines[0].startswith("SphericalKMeans: iteration 1, objective ")


def test_verbose_draws_a_bar_on_a_terminal(X, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    latom.SphericalKMeans(4, verbose=1, random_state=0).fit(X)
    out, err = capsys.readouterr()
    assert out == ""
    assert "SphericalKMeans" in err


@pytest.mark.parametrize("cls", BOTH)
def test_transform_predict_score_agree(cls, X):
    km = cls(5, random_state=0).fit(X)
    distances = km.transform(X)
    assert distances.shape == (300, 5)
    nearest = distances[np.arange(300), km.labels_]
    assert np.allclose(nearest, distances.min(axis=1), atol=1e-5)
    cost = nearest if cls is latom.SphericalKMeans else nearest**2
    assert np.isclose(cost.sum(), km.inertia_, rtol=1e-4)
    w = np.linspace(0, 2, 300)
    assert np.isclose(km.score(X, sample_weight=w), -(w * cost).sum(), rtol=1e-4)
    assert list(km.get_feature_names_out()) == [f"{cls.__name__.lower()}{j}" for j in range(5)]


def test_scores_look_for_the_longest_row_only_where_rows_have_weights(X, monkeypatch):
    km, looked = latom.KMeans(5, random_state=0).fit(X), []
    monkeypatch.setattr(kmeans_base, "longest_row", lambda *_: looked.append(1) or 1.0)
    km.score(X)
    assert not looked
    km.score(X, sample_weight=np.full(300, 1e9))
    assert looked == [1]


@pytest.mark.parametrize("cls", BOTH)
def test_predict_takes_either_container_and_dtype(cls, X):
    km = cls(5, random_state=0).fit(X)
    for Y in (X.toarray(), X.astype(np.float64), X.toarray().astype(np.float64)):
        assert (km.predict(Y) == km.labels_).all()


@pytest.mark.parametrize("cls", BOTH)
def test_pickle(cls, X):
    km = cls(5, random_state=0).fit(X)
    again = pickle.loads(pickle.dumps(km))
    assert (again.predict(X) == km.labels_).all()
    assert (again.history_ == km.history_).all()


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("make", [lambda A: A, lambda A: A.toarray()])
def test_partial_fit_approaches_fit(cls, make, X):
    rng = np.random.default_rng(0)
    rows = corpus(rng, 3000, 60, 6)
    km = cls(6, random_state=2)
    for start in range(0, 3000, 300):
        assert km.partial_fit(make(rows[start : start + 300])) is km
    assert km.n_steps_ == 10
    assert km.labels_.shape == (300,)
    batch = -km.score(make(rows))
    full = cls(6, random_state=2).fit(rows)
    assert batch < 1.25 * full.inertia_
    if cls is latom.SphericalKMeans:
        C = km.cluster_centers_
        C = C.toarray() if sp.issparse(C) else C
        assert np.allclose(np.linalg.norm(C, axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="n_samples=5 should be >= n_clusters=20"):
        cls(20).partial_fit(make(rows[:5]))


def test_partial_fit_goes_on_from_fit():
    km = latom.KMeans(2, init=np.array([[0.0], [10]])).fit(np.array([[0.0], [2], [10], [12]]))
    km.partial_fit(np.array([[4.0]]))
    assert np.allclose(km.cluster_centers_, [[2], [11]])
    cancelling = latom.SphericalKMeans(1, init=[[0.6, 0.8]]).partial_fit([[1.0, 0.5], [-1.0, -0.5]])
    assert np.allclose(cancelling.cluster_centers_, [[0.6, 0.8]])


def test_partial_fit_is_the_running_mean():
    """Two batches with fixed labels: each center is the weighted mean of what it was given."""
    A = np.array([[0.0, 0], [0, 2], [10, 0], [10, 4]])
    km = latom.KMeans(2, init=np.array([[0.0, 1], [10, 1]])).partial_fit(A, sample_weight=[1, 3, 1, 1])
    assert np.allclose(km.cluster_centers_, [[0, 1.5], [10, 2]])
    km.partial_fit(np.array([[1.0, 1.5]]), sample_weight=[4])
    assert np.allclose(km.cluster_centers_, [[0.5, 1.5], [10, 2]])


def test_agrees_with_scikit_learn_on_euclidean_data(X):
    start = X[:7].toarray().astype(np.float64)
    A = X.toarray().astype(np.float64)
    ours = latom.KMeans(7, init=start, tol=0).fit(A)
    theirs = SklearnKMeans(7, init=start, n_init=1, tol=0, max_iter=100).fit(A)
    assert (ours.labels_ == theirs.labels_).all()
    assert np.isclose(ours.inertia_, theirs.inertia_)
    assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_clusters": 0}, "n_clusters must be a positive integer; got 0"),
        ({"n_clusters": 2.5}, "n_clusters must be a positive integer"),
        (
            {"n_clusters": 301},
            "n_samples=300 should be >= n_clusters=301",
        ),
        ({"init": "kmeans"}, "init must be 'k-means"),
        ({"init": np.zeros((3, 80))}, "init must have shape"),
        ({"init": np.full((4, 80), np.nan)}, "init must be finite"),
        ({"n_init": 0}, "n_init must be"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"tol": -1.0}, "tol must be"),
        ({"n_threads": 0}, "n_threads must be an integer in"),
        ({"device": "cuda"}, "built without CUDA"),
        ({"device": "tpu"}, "device must be None"),
    ],
)
def test_bad_parameters_say_what_to_do(change, words, X):
    arguments = {"n_clusters": 4} | change
    with pytest.raises(ValueError, match=words) as error:
        latom.SphericalKMeans(**arguments).fit(X)
    assert str(error.value).startswith("SphericalKMeans.fit: ")


def test_warns_once_of_zero_rows_and_of_repeated_rows(X):
    A = X.toarray()
    A[[3, 9]] = 0
    with pytest.warns(UserWarning, match="2 rows of X are zero") as caught:
        km = latom.SphericalKMeans(4, random_state=0).fit(sp.csr_array(A))
    assert len(caught) == 1
    assert (km.labels_[[3, 9]] == 0).all()
    with pytest.warns(Warning, match="distinct clusters"):
        km = latom.SphericalKMeans(4, random_state=0).fit(np.ones((10, 3)))
    assert km.n_iter_ < 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        latom.KMeans(4, random_state=0).fit(sp.csr_array(A))  # a zero row is a point like any other


def test_arguments_and_defaults_are_those_of_scikit_learn(X):
    ours, theirs = latom.KMeans().get_params(), SklearnKMeans().get_params()
    assert theirs.items() <= ours.items()
    assert list(theirs) == [name for name in ours if name in theirs]


@pytest.mark.parametrize("cls", BOTH)
def test_elkan_and_lloyd_are_the_same(cls, X):
    a, b = (cls(6, algorithm=which, copy_x=False, random_state=0).fit(X) for which in ("lloyd", "elkan"))
    assert (a.labels_ == b.labels_).all()
    assert a.inertia_ == b.inertia_
    for gone in ("auto", "full"):
        with pytest.raises(ValueError, match=f"algorithm must be 'lloyd' or 'elkan'; got '{gone}'"):
            cls(algorithm=gone).fit(X)
    with pytest.raises(ValueError, match="copy_x must be True or False; got 1"):
        cls(copy_x=1).fit(X)
    with pytest.warns(RuntimeWarning, match="algorithm='elkan' doesn't make sense for a single cluster"):
        cls(1, algorithm="elkan").fit(X)


@pytest.mark.parametrize("cls", BOTH)
def test_n_init_auto(cls, X):
    for init, runs in (("k-means++", 1), ("random", 10), (X[:4], 1), (lambda A, k, random_state: A[:k], 10)):
        assert cls(4, init=init).fit(X)._n_init == runs
    with pytest.raises(ValueError, match="n_init must be a positive integer or 'auto'; got 'warn'"):
        cls(n_init="warn").fit(X)
