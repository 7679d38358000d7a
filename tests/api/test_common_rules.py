"""Rules that hold for every estimator and function alike: seeds, tolerances, remedies in messages."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import latom
from latom._base.checks import check_choice, check_flag, check_integer, check_number, check_range, check_tol

X = np.abs(np.random.default_rng(0).standard_normal((60, 5)))
SEEDED = {
    "KMeans": lambda seed: latom.KMeans(3, random_state=seed).fit(X).cluster_centers_,
    "BisectingKMeans": lambda seed: latom.BisectingKMeans(3, random_state=seed).fit(X).cluster_centers_,
    "SphericalKMeans": lambda seed: latom.SphericalKMeans(3, random_state=seed).fit(X).cluster_centers_,
    "AlternatingLeastSquares": lambda seed: (
        latom.AlternatingLeastSquares(3, iterations=2, random_state=seed).fit(X).item_factors
    ),
    "MatrixCompletion": lambda seed: (
        latom.MatrixCompletion(3, max_iter=2, tol=0, random_state=seed).fit(X).components_
    ),
    "NMF": lambda seed: latom.NMF(3, init="random", random_state=seed).fit(X).components_,
    "MiniBatchNMF": lambda seed: (
        latom.MiniBatchNMF(3, max_iter=2, tol=0, random_state=seed).fit(X).components_
    ),
    "SemiNMF": lambda seed: latom.SemiNMF(3, max_iter=5, tol=0, random_state=seed).fit(X).components_,
    "PointwiseFactorization": lambda seed: (
        latom.PointwiseFactorization(3, max_iter=2, random_state=seed).fit(X > 1).item_factors
    ),
    "IPSFactorization": lambda seed: (
        latom.IPSFactorization(3, max_iter=2, random_state=seed).fit(X > 1).item_factors
    ),
    "CUR": lambda seed: latom.CUR(3, 2, random_state=seed).fit(X).row_indices_,
    "CURSearch": lambda seed: latom.CURSearch(X, n_anchor_items=2, random_state=seed).fit([0]).anchor_items_,
    "TopKEncoder": lambda seed: latom.TopKEncoder(k=1, n_components=3, random_state=seed).fit(X).components_,
    "kmeans_plusplus": lambda seed: latom.kmeans_plusplus(X, 3, random_state=seed)[0],
    "kmeans_batch": lambda seed: (
        latom.kmeans_batch(X, 3, [0, 60], init="k-means++", random_state=seed).centers
    ),
    "pool_tokens": lambda seed: latom.pool_tokens(X, [0, 60], method="kmeans", random_state=seed)[0],
    "select_n_clusters": lambda seed: latom.select_n_clusters(X, [2, 4], random_state=seed).inertia,
    "nmf_batch": lambda seed: latom.nmf_batch(X, 2, 3, random_state=seed).W,
    "TruncatedSVD": lambda seed: latom.TruncatedSVD(2, random_state=seed).fit(X).components_,
    "FastRP": lambda seed: latom.FastRP(4, random_state=seed).fit_transform(X @ X.T),
    "PMIFactorization": lambda seed: latom.PMIFactorization(2, random_state=seed).fit(X).components_,
    "RESCAL": lambda seed: latom.RESCAL(2, max_iter=3, tol=0, random_state=seed).fit([X @ X.T]).A_,
    "NonNegativeCP": lambda seed: (
        latom.NonNegativeCP(2, max_iter=3, tol=0, random_state=seed).fit(X.reshape(6, 10, 5)).weights_
    ),
}


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize("seed", [True, -1, 1.5, "3", np.array([1])])
def test_one_rule_refuses_seeds(name, seed):
    with pytest.raises(ValueError, match=r"^[\w.]+: random_state must be None, an int of at least 0"):
        SEEDED[name](seed)


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize("seed", [0, 2**40, np.int64(7), None])
def test_one_rule_takes_seeds(name, seed):
    found = SEEDED[name](seed)
    if seed is not None:
        assert np.array_equal(found, SEEDED[name](seed))
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for generator in (np.random.default_rng, np.random.RandomState):
        assert np.array_equal(SEEDED[name](generator(4)), SEEDED[name](generator(4)))
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002 (the global one is not touched)


@pytest.mark.parametrize("name", ["KMeans", "SphericalKMeans", "NMF", "MiniBatchNMF"])
def test_an_int_is_the_random_state_of_that_seed(name):
    assert np.array_equal(SEEDED[name](3), SEEDED[name](np.random.RandomState(3)))


WITH_TOL = [latom.KMeans, latom.SphericalKMeans, latom.NMF, latom.MiniBatchNMF, latom.SemiNMF]
WITH_TOL += [latom.PointwiseFactorization, latom.IPSFactorization]
WITH_TOL += [latom.AlternatingLeastSquares, latom.MatrixCompletion]


@pytest.mark.parametrize("cls", WITH_TOL)
@pytest.mark.parametrize("tol", [-1e-9, True, np.nan, np.inf, "0.1", None])
def test_one_rule_refuses_tolerances(cls, tol):
    with pytest.raises(
        ValueError, match=re.escape(f"tol must be a finite number of at least 0; got {tol!r}.")
    ):
        cls(2, tol=tol).fit(X)


def test_the_function_has_that_rule_too():
    with pytest.raises(ValueError, match="nmf_batch: tol must be a finite number of at least 0; got True"):
        latom.nmf_batch(X, 2, 1, tol=True)


class Unprintable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("check", "arguments", "words"),
    [
        (check_integer, (0,), "got 0. Raise it to 1."),
        (check_integer, (9, 4), "an integer in [1, 4]; got 9. Lower it to 4."),
        (check_integer, (2.6,), "got 2.6. Round it to 3."),
        (check_integer, (True,), "got True. Pass an int, such as 1."),
        (check_integer, ("a",), "got 'a'. Pass an int"),
        (check_integer, (np.nan,), "got nan. Pass an int"),
        (check_integer, (-1, None, 0), "an integer of at least 0; got -1. Raise it to 0."),
        (check_number, (0,), "got 0. Pass a finite number above 0"),
        (check_number, (float("inf"),), "got inf. Pass a finite number"),
        (check_range, (-1,), "a finite number of at least 0; got -1. Raise it to 0."),
        (check_range, (2, 1), "a number in [0, 1]; got 2. Lower it to 1."),
        (check_range, (None, 1), "got None. Pass a finite float"),
        (check_tol, (), None),
        (check_flag, ("yes",), "must be True or False; got 'yes'."),
        (check_choice, ("cosin", ("euclidean", "cosine")), "got 'cosin'. The nearest is 'cosine'."),
        (check_choice, (7, ("euclidean", "cosine")), "got 7. Use 'euclidean' if unsure."),
        (check_choice, (7, ("euclidean", "cosine"), "cosine"), "got 7. Use 'cosine' if unsure."),
        (check_choice, ("l2", ("dot", "cosine", "euclidean")), "got 'l2'. Use 'euclidean'."),
        (check_choice, ("sqeuclidean", ("cosine", "euclidean")), "got 'sqeuclidean'. Use 'euclidean'."),
        (check_choice, ("inner product", ("cosine", "dot")), "got 'inner product'. Use 'dot'."),
        (check_choice, ("ip", ("cosine", "euclidean")), "got 'ip'. Use 'cosine' if unsure."),
        (check_choice, ("Angular", ("euclidean", "cosine")), "got 'Angular'. Use 'cosine'."),
        (check_choice, ("COSINE", ("euclidean", "cosine")), "got 'COSINE'. The nearest is 'cosine'."),
        (check_choice, ("foo", ("half",)), "must be 'half'; got 'foo'. Use 'half' if unsure."),
        (check_integer, (np.zeros((50, 6)),), "got ndarray of shape (50, 6). Pass an int"),
        (check_integer, ([0] * 999,), "got list of length 999. Pass an int"),
        (check_integer, (Decimal("1e9999"),), "got Decimal('1E+9999'). Pass an int"),
        (check_number, (10**400,), "got int. Pass a finite number above 0"),
        (
            check_number,
            (np.longdouble("1e400"),),
            "Pass a finite number above 0",
        ),
        (check_range, (Fraction(10**400),), "got Fraction. Pass a finite float"),
        (
            check_choice,
            ("x" * 999, ("euclidean", "cosine")),
            "got str of length 999. Use 'euclidean' if unsure.",
        ),
        (
            check_choice,
            (Unprintable(), ("euclidean", "cosine")),
            "got Unprintable. Use 'euclidean' if unsure.",
        ),
    ],
)
def test_remedies_say_what_to_do(check, arguments, words):
    if check is check_tol:
        assert check("f", np.float32(0)) == 0.0
        return
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        check("f", "argument", *arguments)
    assert str(error.value).startswith("f: argument must be ")


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        (lambda: latom.topk(X, X, 2, metric="l2"), "topk: metric must .* got 'l2'. Use 'euclidean'."),
        (lambda: latom.BisectingKMeans(2, metric="L2").fit(X), "got 'L2'. Use 'euclidean'."),
        (lambda: latom.BisectingKMeans(2, metric="l1").fit(X), "got 'l1'. Use 'euclidean' if unsure."),
        (lambda: latom.silhouette(X, [0, 1] * 30, metric="l1"), "got 'l1'. Use 'euclidean' if unsure."),
        (lambda: latom.DenseIndex(X, metric="l1"), "got 'l1'. Use 'cosine' if unsure."),
        (lambda: latom.assign(X, X, n_threads=-1), r"n_threads must .* or None; got -1. Pass None for all"),
        (lambda: latom.weighted_sample([1.0], 1, log_weights=[0.0]), "exactly one of .*; got both"),
        (lambda: latom.weighted_sample(size=1), "exactly one of .*; got neither"),
    ],
)
def test_remedies_know_the_function(fails, words):
    with pytest.raises(ValueError, match=words):
        fails()


FITS = [
    latom.KMeans,
    latom.SphericalKMeans,
    latom.MiniBatchKMeans,
    latom.NMF,
    latom.MiniBatchNMF,
    latom.SemiNMF,
    latom.PointwiseFactorization,
    latom.IPSFactorization,
]


@pytest.mark.parametrize("cls", FITS)
def test_callbacks_and_verbosity_are_checked_before_work(cls):
    with pytest.raises(
        TypeError, match=r"^\w+\.\w+: callback must be callable or None; got 5\. Pass a function"
    ):
        cls(2, callback=5).fit(X)
    for verbose in ("x", -1, 0.5, None):
        with pytest.raises(ValueError, match=r"^\w+\.\w+: verbose must be an integer of at least 0; got "):
            cls(2, verbose=verbose).fit(X)
    with pytest.raises(
        ValueError, match=r"callback must return something true or false; got ndarray of shape \(3,\)"
    ):
        cls(2, callback=lambda state: np.ones(3)).fit(X)
    cls(2, verbose=np.False_, tol=0.5, callback=lambda state: np.True_).fit(X)


MANY = {
    "KMeans": lambda: latom.KMeans(61).fit(X),
    "MiniBatchKMeans": lambda: latom.MiniBatchKMeans(61).partial_fit(X),
    "kmeans_plusplus": lambda: latom.kmeans_plusplus(X, 61),
    "kmeans_parallel": lambda: latom.kmeans_parallel(X, 61),
    "afkmc2": lambda: latom.afkmc2(X, 61),
    "coreset": lambda: latom.coreset(X, 5, method="sensitivity", n_clusters=61),
}


@pytest.mark.parametrize("name", MANY)
def test_one_rule_of_too_many_clusters_in_the_words_of_scikit_learn(name):
    words = "n_clusters must be an integer in [1, 60]; got 61. n_samples=60 should be >= n_clusters=61"
    with pytest.raises(ValueError, match=re.escape(words)):
        MANY[name]()


def test_no_message_has_an_empty_remedy():
    """Words that name no action; each was once in a message."""
    empty = ("Pass such a number", "Pass one of them", "Check both", "Check it.", "Correct it", "Pass one.")
    for path in Path(latom.__file__).parent.rglob("*.py"):
        if path.parent.name != "seed":
            assert not [words for words in empty if words in path.read_text()], path


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (
            lambda odd: latom.kmeans_plusplus(np.eye(3), 1, return_stats=odd),
            "return_stats must be True or False",
        ),
        (
            lambda odd: latom.topk(np.eye(3), np.eye(3), 1, return_stats=odd),
            "return_stats must be True or False",
        ),
        (
            lambda odd: latom.weighted_sample([1.0, 2.0], 1, replacement=odd),
            "replacement must be True or False",
        ),
        (lambda odd: latom.topk(np.eye(3), np.eye(3), 1, metric=odd), "metric must be 'dot'"),
        (lambda odd: latom.above(np.eye(3), np.eye(3), 1.0, metric=odd), "metric must be 'dot'"),
    ],
)
def test_choices_are_checked_before_they_are_compared(call, what):
    for odd in (np.zeros((0, 3)), np.array([1, 2])):
        with pytest.raises(ValueError, match=what):
            call(odd)


@pytest.mark.parametrize(
    "name", [name for name in latom.__all__ if hasattr(getattr(latom, name), "get_params")]
)
def test_a_wrong_parameter_is_told_of_by_the_name_of_the_class(name):
    with pytest.raises(TypeError, match=rf"^{name}\.__init__\(\) got an unexpected .*'nclusters'"):
        getattr(latom, name)(nclusters=3)


@pytest.mark.parametrize("name", ["DenseIndex", "SparseIndex"])
def test_so_is_one_of_an_index(name):
    with pytest.raises(TypeError, match=rf"^{name}\.__init__\(\) got an unexpected .*'metrik'"):
        getattr(latom.neighbors, name)(np.eye(3), metrik="dot")


def test_classes_of_users_inherit_as_python_has_it():
    class Mine(latom.KMeans):
        pass

    class Other(latom.KMeans):
        def __init__(self, n_clusters=7):
            super().__init__(n_clusters)

    class Both(Mine, Other):
        pass

    assert Both().n_clusters == 7
    with pytest.raises(TypeError, match=r"^KMeans\.__init__\(\) got an unexpected"):
        Mine(nclusters=3)
    assert Mine(3).get_params() == latom.KMeans(3).get_params()
