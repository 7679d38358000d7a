"""Every public estimator under scikit-learn's checks: here, in a file that is named, or not, for a reason."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import pkgutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks as checks
from sklearn.utils import get_tags

import latom

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.filterwarnings("ignore")  # small data, few iterations


class _NoPairs:
    """Without decision_function, which takes places where scikit-learn's checks pass rows."""

    @property
    def decision_function(self):
        raise AttributeError("decision_function")


class Pointwise(_NoPairs, latom.PointwiseFactorization):
    pass


class IPS(_NoPairs, latom.IPSFactorization):
    pass


class Completion(latom.MatrixCompletion):
    """Without predict, which takes places where scikit-learn's checks pass rows."""

    @property
    def predict(self):
        raise AttributeError("predict")


HERE = [
    latom.ITDA(2),
    latom.MatchingPursuit(None, transform_n_nonzero_coefs=2),
    latom.MatchingPursuit(None, transform_algorithm="threshold", split_sign=True),
    latom.ThresholdEncoder(None),
    latom.ThresholdEncoder(None, 0.5, sparse_output=False),
    latom.FastRP(4),
    latom.FastRP(4, transition=False, standardize=False),
    latom.PMIFactorization(1),
    latom.PMIFactorization(1, window=2),
    latom.PMIFactorization(1, weighting="arora"),
    latom.ConsensusNMF(1, n_replicates=3, max_iter=20),
    latom.CUR(1, 1),
    latom.CUR(1, 1, row_selection="kmeans++", column_selection="leverage"),
    Pointwise(2, max_iter=2),
    IPS(2, max_iter=2),
    IPS(2, link="logistic", max_iter=2),
]
ELSEWHERE = {
    "cluster/test_bisecting.py": [
        latom.BisectingKMeans(3),
        latom.BisectingKMeans(3, metric="cosine", bisecting_strategy="largest_cluster"),
    ],
    "cluster/test_estimators.py": [latom.KMeans(3), latom.SphericalKMeans(3)],
    "cluster/test_hierarchical.py": [latom.HierarchicalKMeans((3, 2), n_resampling=1)],
    "cluster/test_minibatch.py": [latom.MiniBatchKMeans(3), latom.MiniBatchSphericalKMeans(3)],
    "encode/test_sparse_autoencoder.py": [latom.SparseAutoencoder(4, 2, max_epochs=1)],
    "encode/test_topk_encoder.py": [latom.TopKEncoder(k=2)],
    "factorize/test_als.py": [latom.AlternatingLeastSquares(2, iterations=2)],
    "factorize/test_completion.py": [Completion(2, max_iter=2), latom.LowRankImputer(2, max_iter=2)],
    "factorize/test_nmf.py": [latom.NMF(2, max_iter=9), latom.MiniBatchNMF(2, max_iter=2)],
    "factorize/test_semi_nmf_interface.py": [latom.SemiNMF(2, max_iter=9)],
    "factorize/test_truncated_svd.py": [latom.TruncatedSVD(1)],
    "neighbors/test_neighbors_estimators.py": [
        latom.NearestNeighbors(),
        latom.KNeighborsTransformer(),
        latom.RelativeRepresentation(5),
    ],
}
_HOST = "has its host's shape, and the host's own tests are run on it in tests/compat"
_DASK = "fits dask arrays alone, for which these checks have no data"
NOWHERE = {
    "CURSearch": "X is a sequence of queries of any kind, which a function scores",
    "LatentLabelShift": "fit needs the domain of each row, and as many domains as X has columns",
    "NonNegativeCP": "X is a tensor of any number of modes, of which no one is that of the features",
    "RESCAL": "X is a sequence of square matrices",
    "compat.fastkmeans.FastKMeans": _HOST,
    "compat.implicit.AlternatingLeastSquares": _HOST,
    "compat.sklearn.KMeans": _HOST,
    "compat.sklearn.KNeighborsTransformer": _HOST,
    "compat.sklearn.MiniBatchKMeans": _HOST,
    "compat.sklearn.MiniBatchNMF": _HOST,
    "compat.sklearn.NMF": _HOST,
    "compat.sklearn.NearestNeighbors": _HOST,
    "compat.sklearn.RadiusNeighborsTransformer": _HOST,
    "compat.sklearn.SparseCoder": _HOST,
    "compat.sklearn.TruncatedSVD": _HOST,
    "compat.turftopic.SNMF": _HOST,
    "compat.turftopic.TopKAutoEncoder": _HOST,
    "dask.KMeans": _DASK,
    "dask.MiniBatchKMeans": _DASK,
    "dask.SphericalKMeans": _DASK,
}
EVERY = HERE + [estimator for some in ELSEWHERE.values() for estimator in some]
# Of the rows that a check makes, for estimators whose weights are given.
WIDTHS = {
    "check_array_api_input": 10,
    "check_dataframe_column_names_consistency": 8,
    "check_dtype_object": 10,
    "check_estimators_dtypes": 5,
    "check_estimators_fit_returns_self": 2,
    "check_estimators_overwrite_params": 2,
    "check_fit2d_1feature": 1,
    "check_fit2d_1sample": 10,
    "check_fit_check_is_fitted": 2,
    "check_fit_idempotent": 2,
    "check_global_output_transform_pandas": 5,
    "check_n_features_in": 2,
    "check_n_features_in_after_fitting": 4,
    "check_positive_only_tag_during_fit": 4,
    "check_readonly_memmap_input": 2,
    "check_set_output_transform": 5,
    "check_set_output_transform_pandas": 5,
    "check_transformers_unfitted_stateless": 5,
}


def with_weights(estimator, check):
    """The estimator with atoms as wide as the rows of a check, where it has none of its own."""
    weights = {"MatchingPursuit": "dictionary", "ThresholdEncoder": "W_enc"}.get(type(estimator).__name__)
    if weights is None:
        return estimator
    atoms = np.random.default_rng(0).standard_normal((5, WIDTHS.get(check.func.__name__, 3)))
    return clone(estimator).set_params(**{weights: atoms.astype(np.float32)})


@checks.parametrize_with_checks(HERE)
def test_scikit_learn_checks(estimator, check):
    check(with_weights(estimator, check))


# scikit-learn makes these of its own estimators, and leaves them out of the list for others.
NAMES = [
    checks.check_dataframe_column_names_consistency,
    checks.check_n_features_in_after_fitting,
]
NAMES_OUT = [
    checks.check_set_output_transform,
    checks.check_set_output_transform_pandas,
    checks.check_global_output_transform_pandas,
    checks.check_transformer_get_feature_names_out,
    checks.check_transformer_get_feature_names_out_pandas,
]


@pytest.mark.parametrize("check", NAMES + NAMES_OUT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("estimator", EVERY, ids=lambda estimator: type(estimator).__name__)
def test_names_of_features_go_in_and_out(estimator, check):
    if check in NAMES or hasattr(estimator, "get_feature_names_out"):
        check = partial(check, type(estimator).__name__)
        check(with_weights(estimator, check))


# ---- none is forgotten


def public_estimators():
    """Names of public classes with fit, as they follow ``latom.``, once each."""
    parts = [latom]
    for package in (latom, importlib.import_module("latom.compat")):
        for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if "._" not in info.name and (info.ispkg or package is not latom):
                try:
                    parts.append(importlib.import_module(info.name))
                except ImportError:  # of a library that is not here
                    continue
    found = {}
    for part in parts:
        for name in getattr(part, "__all__", []):
            try:
                value = getattr(part, name)
            except ImportError:  # of a class whose host is not here
                continue
            if inspect.isclass(value) and callable(getattr(value, "fit", None)):
                found.setdefault(value, f"{part.__name__}.{name}".removeprefix("latom."))
    return set(found.values())


def names_of(estimators):
    """Names of public classes that these are of, or have made less of."""
    public = [getattr(latom, name) for name in latom.__all__]
    return {next(c for c in type(each).__mro__ if c in public).__name__ for each in estimators}


def test_each_public_estimator_has_a_place():
    elsewhere = names_of(estimator for some in ELSEWHERE.values() for estimator in some)
    placed = [*names_of(HERE), *elsewhere, *NOWHERE]
    assert len(placed) == len(set(placed)), "two places"
    hosts = ("compat.", "dask.")  # of which some are not here
    assert public_estimators() == {
        name for name in placed if not name.startswith(hosts) or name in public_estimators()
    }


def names_in(tree, node):
    """Names in an expression, and in what stands behind them in the file."""
    defined = {
        target.id: [each.value]
        for each in tree.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    defined |= {each.name: each.bases for each in tree.body if isinstance(each, ast.ClassDef)}
    names, left = set(), [node]
    while left:
        for part in ast.walk(left.pop()):
            name = getattr(part, "id", None) or getattr(part, "attr", None)
            if isinstance(name, str) and name not in names:
                names.add(name)
                left += defined.get(name, [])
    return names


def checked_in(source):
    """Names of what a file has scikit-learn check, each by a test that really does so."""
    tree, names = ast.parse(source), set()
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        given = {ast.unparse(node) for node in calls}
        for node in calls:
            made = ast.unparse(node.func).split(".")[-1]
            decorates = made == "parametrize_with_checks" and "check(estimator)" in given
            if function.name.startswith("test_") and (decorates or made == "check_estimator"):
                names |= names_in(tree, node.args[0])
    return names


@pytest.mark.parametrize("file", ELSEWHERE)
def test_the_named_file_has_them_checked(file):
    assert names_of(ELSEWHERE[file]) <= checked_in((TESTS / file).read_text())


def test_a_file_that_has_nothing_checked_is_seen():
    decorated = "ALL = [KMeans]\n@parametrize_with_checks([c() for c in ALL])\ndef test_it(estimator, check):"
    assert "KMeans" in checked_in(decorated + " check(estimator)")
    assert not checked_in(decorated + " pass")
    assert not checked_in("from latom import KMeans\ndef test_it():\n    KMeans().fit(X)\n")


# ---- what scikit-learn's checks have found, and cannot see


X = sp.csr_array(np.kron(np.eye(2), np.ones((6, 4))))


@pytest.mark.parametrize(
    "model",
    [latom.AlternatingLeastSquares(2), latom.PointwiseFactorization(2), latom.IPSFactorization(2)],
    ids=lambda model: type(model).__name__,
)
def test_recommenders_without_factors_say_so(model):
    asked = [
        lambda: model.recommend(0, X[[0]]),
        lambda: model.recalculate_user(0, X[[0]]),
        lambda: model.similar_items(0),
        lambda: model.similar_users(0),
        lambda: model.transform(X) if hasattr(model, "transform") else model.decision_function([0], [0]),
    ]
    for ask in asked:
        with pytest.raises(NotFittedError):
            ask()
    assert not hasattr(model, "components_")
    assert clone(model).fit(X).components_.shape == (2, 8)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_consensus_goes_on_where_it_is_loaded(container):
    counts = container(np.random.default_rng(0).poisson(3.0, (30, 9)).astype(np.float32))
    model = latom.ConsensusNMF(2, n_replicates=4, random_state=0).prepare(counts)
    loaded = pickle.loads(pickle.dumps(model))
    halves = [pickle.loads(pickle.dumps(loaded)).factorize(worker, 2) for worker in range(2)]
    there, here = loaded.combine(halves).consensus(2), clone(model).fit(counts)
    assert (there.components_ == here.components_).all()
    assert (pickle.loads(pickle.dumps(there)).consensus(2).usages_ == here.usages_).all()


def test_graphs_come_with_rows_and_columns_of_the_same_nodes():
    assert get_tags(latom.FastRP()).input_tags.pairwise
    assert get_tags(latom.PMIFactorization(window=3)).input_tags.pairwise
    assert not get_tags(latom.PMIFactorization()).input_tags.pairwise
    assert not get_tags(latom.RESCAL(2)).input_tags.two_d_array


def test_columns_of_a_function_have_no_names():
    model = latom.CUR(1, 1).fit(np.eye(3))
    model.feature_names_in_ = np.array(["a", "b", "c"], object)
    model.fit(lambda rows, columns: np.ones((len(rows), len(columns))), shape=(4, 2))
    assert model.n_features_in_ == 2
    assert not hasattr(model, "feature_names_in_")
