"""What a fitted estimator keeps of its centers: the answers of centers that are prepared anew."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
import weakref

import numpy as np
import pytest
import scipy.sparse as sp

import latom
from latom import _core
from latom.cluster import packed_centers


def fitted(rng, cls=latom.KMeans, n=60, d=20, m=7, dtype=np.float32, **arguments):
    X = rng.standard_normal((n, d)).astype(dtype)
    return cls(m, random_state=0, max_iter=2, **arguments).fit(X), X


def agrees(km, X, weights=None):
    labels, scores = latom.assign(X, km.cluster_centers_, metric=km._metric)
    costs = 1 - scores if km._metric == "cosine" else -scores
    assert (km.predict(X) == labels).all()
    assert km.score(X, sample_weight=weights) == -in_order(costs if weights is None else weights * costs)


def in_order(costs):
    """The sum of rows from the first to the last, as all partial sums of latom add them up."""
    assert len(costs) <= 4096  # beyond that, sums of so many rows are added
    total = 0.0
    for cost in costs.tolist():
        total += cost
    return total


@pytest.mark.filterwarnings("ignore:.*Number of distinct clusters")
@pytest.mark.parametrize("cls", [latom.KMeans, latom.SphericalKMeans])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 16, 33, 65, 128, 129])
@pytest.mark.parametrize("d", [1, 5, 31, 64, 65, 200])
def test_answers_are_those_of_assign(cls, m, d, rng):
    km, X = fitted(rng, cls, 140, d, m)
    for n in (1, 2, 7, 8, 65, 140, 600):
        Y = rng.standard_normal((n, d)).astype(np.float32)
        Y[n // 2] = 0  # without direction
        Y[-1] = km.cluster_centers_[m // 2]
        for threads in (1, 2, 5):
            agrees(km.set_params(n_threads=threads), Y)
    agrees(km, X, rng.random(len(X)))


@pytest.mark.parametrize("cls", [latom.KMeans, latom.SphericalKMeans])
@pytest.mark.parametrize("made_of", [np.float32, np.float64])
def test_number_types_may_differ(cls, made_of, rng):
    km, _ = fitted(rng, cls, dtype=made_of)
    Y = rng.standard_normal((30, 20))
    for dtype in (np.float64, np.float32, np.float16):
        agrees(km, Y.astype(dtype))
    for dtype in (np.int8, ">f4", ">f8"):
        agrees(km, (4 * Y).astype(dtype))
    for other in (np.asfortranarray(Y), Y[::2], Y.tolist(), sp.csr_array(Y)):
        assert (
            km.predict(other) == km.predict(np.array(other.toarray() if sp.issparse(other) else other))
        ).all()


@pytest.mark.filterwarnings("ignore:.*Number of distinct clusters")
@pytest.mark.parametrize("cls", [latom.KMeans, latom.SphericalKMeans])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 2, 47, 48, 49, 145, 200])
def test_answers_for_sparse_rows(cls, m, dtype, rng):
    X = sp.random_array((260, 90), density=0.1, rng=rng, format="csr", dtype=dtype)
    for sparse_centers in (False, True):
        km = cls(m, random_state=0, max_iter=1, sparse_centers=sparse_centers).fit(X)
        for n in (1, 9, 130, 260):
            Y = X[:n].copy()
            Y.data[: len(Y.data) // 2] *= -1
            Y.data[Y.indptr[n // 2] : Y.indptr[n // 2 + 1]] = 0  # without direction
            for threads in (1, 2, 5):
                agrees(km.set_params(n_threads=threads), Y)
            wide = sp.csr_array((Y.data, Y.indices.astype(np.int64), Y.indptr.astype(np.int64)), Y.shape)
            agrees(km, wide)
            agrees(km, Y.astype(np.float64))


@pytest.mark.parametrize("kept", [0, 1 << 28])
def test_what_is_not_kept_gives_the_same(kept, rng, monkeypatch):
    monkeypatch.setattr(packed_centers, "MOST_BYTES", kept)
    km, X = fitted(rng)
    agrees(km, sp.csr_array(X))


def test_centers_may_be_anything_that_holds_numbers(rng):
    km, X = fitted(rng)
    centers = km.cluster_centers_
    for given in (centers.tolist(), centers.astype(np.float64), np.asfortranarray(centers), centers[::-1]):
        km.cluster_centers_ = given
        for _ in range(2):
            labels = latom.assign(X, np.ascontiguousarray(given), metric="euclidean")[0]
            assert (km.predict(X) == labels).all()


def test_equal_centers_give_the_lowest_label(rng):
    km, X = fitted(rng)
    km.cluster_centers_ = km.cluster_centers_[[3, 1, 1, 3, 3]]
    assert set(km.predict(X).tolist()) <= {0, 1}
    agrees(km, X)


@pytest.mark.parametrize("cls", [latom.KMeans, latom.MiniBatchKMeans])
def test_other_centers_and_other_numbers_are_noticed(cls, rng):
    km, X = fitted(rng, cls)
    for sparse in (False, True):
        Y = sp.csr_array(X) if sparse else X
        agrees(km, Y)
        before = km.transform(Y)
        km.cluster_centers_[2] = 9  # written into
        agrees(km, Y)
        assert (km.transform(Y)[:, 2] != before[:, 2]).all()
        km.cluster_centers_ = km.cluster_centers_[::-1].copy()
        agrees(km, Y)
    km.partial_fit(X[:20])
    agrees(km, X)
    km.fit(X[20:])
    agrees(km, X)


def test_sparse_centers_may_be_written_into(rng):
    X = sp.random_array((80, 30), density=0.2, rng=np.random.default_rng(0), format="csr")
    km = latom.SphericalKMeans(5, random_state=0, max_iter=2).fit(X)
    for Y in (X, X.toarray()):
        agrees(km, Y)
        km.cluster_centers_.data[:7] *= -1
        agrees(km, Y)


def test_it_is_neither_pickled_nor_copied(rng):
    km, X = fitted(rng)
    plain, before = len(pickle.dumps(km)), vars(km).keys() | set()
    wanted = km.predict(X), km.transform(X)
    assert len(pickle.dumps(km)) == plain
    for other in (pickle.loads(pickle.dumps(km)), copy.deepcopy(km), copy.copy(km)):
        assert (other.predict(X) == wanted[0]).all()
        assert (other.transform(X) == wanted[1]).all()
    assert vars(km).keys() == before


def test_it_goes_with_its_estimator(rng):
    km, X = fitted(rng)
    km.predict(X)
    kept = weakref.ref(km._centers())
    assert kept() is km._centers()
    del km
    gc.collect()
    assert kept() is None


def test_threads_share_it(rng):
    km, X = fitted(rng, d=70, m=20)
    wanted = km.predict(X), km.transform(X)
    for _ in range(10):
        km = pickle.loads(pickle.dumps(km))
        wrong, gate = [], threading.Barrier(6)

        def ask(km=km, wrong=wrong, gate=gate):
            gate.wait()
            for _ in range(5):
                if (km.predict(X) != wanted[0]).any() or (km.transform(X) != wanted[1]).any():
                    wrong.append(1)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def test_what_is_wrong_with_rows_is_said_as_before(rng):
    km, X = fitted(rng)
    for method in (km.predict, km.transform, km.score):
        with pytest.raises(ValueError, match="X has 19 features, but KMeans is expecting 20 features"):
            method(X[:, 1:])
        with pytest.raises(ValueError, match="Found array with 0 sample"):
            method(X[:0])
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            method(X[0])
        bad = X.copy()
        bad[11, 3] = np.nan
        with pytest.raises(ValueError, match=r"X must .*row 11"):
            method(bad)
    with pytest.raises(Exception, match="not fitted"):
        latom.KMeans(2).predict(X)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"c{t}" for t in range(20)])
    named = latom.KMeans(3, random_state=0).fit(frame)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        named.predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named.predict(frame)
    with pytest.warns(UserWarning, match="X has feature names, but KMeans was fitted without"):
        km.predict(frame)


def every_isa(compute):
    before = _core.isa()
    found = {}
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            found[isa] = compute()
    finally:
        _core.set_isa(before)
    return list(found.values())


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("cls", [latom.KMeans, latom.SphericalKMeans])
def test_the_same_bits_for_every_instruction_set(cls, container, rng):
    km, _ = fitted(rng, cls, 200, 37, 101)
    Y = container(rng.standard_normal((43, 37)).astype(np.float32))
    for threads in (1, 2, 5):
        km.set_params(n_threads=threads)
        answers = every_isa(lambda: (km.predict(Y), km.transform(Y), km.score(Y)))
        for labels, distances, score in answers:
            assert (labels == answers[0][0]).all()
            assert (distances == answers[0][1]).all()
            assert score == answers[0][2]
