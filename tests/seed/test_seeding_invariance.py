"""What must not change the rows drawn, and rows that make trouble."""

from __future__ import annotations

import itertools
import signal
import time
import warnings

import core
import numpy as np
import pytest
import scipy.sparse as sp
from laws import FALSE_ALARM, chi_square, d2_law, draw, joint, squared_distances
from oracle import corpus

import latom
from latom._base.arrays import to_core

METHODS = {
    "exact": {"method": "exact"},
    "greedy": {"local_trials": 4},
    "greedy on a budget": {"local_trials": 4, "budget": 2e5},
    "fold": {"method": "fold"},
    "fold, cap": {"method": "fold", "bound": "cap"},
    "rejection": {"method": "rejection"},
    "rejection, paper": {"method": "rejection", "bound": "paper"},
    "rejection, cap": {"method": "rejection", "bound": "cap"},
    "rejection, capped": {"method": "rejection", "max_trials": 2},
}


def rows_of(kind):
    rng = np.random.default_rng(1)
    if kind == "texts":
        return corpus(rng, 3000, 80, 10)
    X = rng.standard_normal((3000, 33), dtype=np.float32)
    X[100:200] = 3 * X[:100]  # the same directions: scores that tie but for rounding
    return X


@pytest.mark.parametrize("kind", ["texts", "dense"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("method", METHODS)
def test_threads_variants_and_widths_draw_the_same_rows(method, metric, kind):
    X = rows_of(kind)
    alike = [X]
    if kind == "texts":
        wide = sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)
        alike.append(wide)
    expected, before = None, core.isa()
    try:
        for isa in core.available_isas():
            core.set_isa(isa)
            for rows, threads in itertools.product(alike, [1, 2, 5] if isa == before else [2]):
                found = core.kmeans_plusplus(
                    to_core(rows), 60, None, metric, 4, threads, "test", potential=True, **METHODS[method]
                )
                shown = (
                    found["indices"].tolist(),
                    found["potential"],
                    found["trials"],
                    found["folds"],
                    found["greedy"],
                )
                expected = expected or shown
                assert shown == expected
    finally:
        core.set_isa(before)
    assert len(set(expected[0])) == 60
    assert method != "greedy on a budget" or 1 < expected[4] < 60


@pytest.mark.parametrize("kind", ["texts", "dense"])
@pytest.mark.parametrize("seeding", [latom.afkmc2, latom.kmeans_parallel], ids=["afkmc2", "kmeans_parallel"])
def test_other_seedings_do_not_depend_on_threads_or_variants(seeding, kind, isa):
    X = rows_of(kind)
    found = [seeding(X, 30, random_state=2, n_threads=threads)[1] for threads in (1, 2, 5)]
    assert all((indices == found[0]).all() for indices in found)
    assert (FIRST.setdefault((seeding.__name__, kind), found[0]) == found[0]).all()
    assert len(set(found[0])) == 30


FIRST: dict[tuple[str, str], np.ndarray] = {}


@pytest.mark.parametrize("method", METHODS)
def test_dense_and_sparse_rows_draw_alike(method):
    """Not the same bits, as sums have another order, but the same rows of nearly every seed."""
    X = corpus(np.random.default_rng(2), 300, 40, 5, dtype=np.float64)
    options = {**METHODS[method], "bound": "first-center"} if "fold" in method else METHODS[method]
    if method.startswith(
        ("exact", "greedy")
    ):  # dense rows stand in lists, so numbers find other rows: law only
        X, w = X[:6], np.arange(1.0, 7)
        sparse, dense = (draw(rows, 3, 5000, w=w, metric="cosine", **options)[0] for rows in (X, X.toarray()))
        if method == "exact":
            law = joint(d2_law(squared_distances(X, "cosine"), w), 6, 3)
            assert min(chi_square(some, law) for some in (sparse, dense)) > FALSE_ALARM
        share = [
            np.bincount(np.ravel_multi_index(tuple(some.T), (6, 6, 6)), minlength=216)
            for some in (sparse, dense)
        ]
        assert np.abs(share[0] - share[1]).max() < 6 * np.sqrt(2 * share[0].max())
        return
    assert (draw(X, 20, 20, **options)[0] == draw(X.toarray(), 20, 20, **options)[0]).all()


@pytest.mark.parametrize("method", ["exact", "fold", "rejection"])
def test_order_of_the_rows_does_not_matter_to_the_law(method):
    rng = np.random.default_rng(3)
    X, w, order = rng.random((7, 3)), rng.random(7) + 0.1, rng.permutation(7)
    draws, _ = draw(X[order], 3, 15_000, w=w[order], method=method)
    law = joint(d2_law(squared_distances(X, "euclidean"), w), 7, 3)
    assert chi_square(order[draws], law) > FALSE_ALARM
    assert chi_square(draws, law) < FALSE_ALARM


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("method", ["exact", "fold", "rejection"])
class TestEdges:
    def draw(self, X, m, method, metric, sparse, **options):
        rows = sp.csr_array(X) if sparse else X
        centers, indices = latom.kmeans_plusplus(rows, m, method=method, metric=metric, **options)
        assert len(set(indices)) == m
        assert ((centers.toarray() if sparse else centers) == X[indices]).all()
        return indices

    def test_all_rows(self, method, metric, sparse):
        X = np.random.default_rng(4).random((9, 4))
        for seed in range(5):
            self.draw(X, 9, method, metric, sparse, random_state=seed)
        assert self.draw(X[:1], 1, method, metric, sparse) == [0]

    def test_one_column(self, method, metric, sparse):
        X = np.array([[-3.0], [1], [2], [7], [7.5]])
        if metric == "cosine":  # two directions
            with pytest.warns(UserWarning, match="only 2 distinct rows"):
                indices = self.draw(X, 4, method, metric, sparse, random_state=0)
            assert 0 in indices[:2]
            return
        for seed in range(10):
            self.draw(X, 5, method, metric, sparse, random_state=seed)

    def test_no_row_of_weight_zero(self, method, metric, sparse):
        X = np.vstack([np.eye(4), np.zeros((2, 4)), 2 * np.eye(4)])
        w = np.array([1, 1, 0, 1, 1, 1, 1, 1, 0, 1.0])
        for seed in range(30):
            indices = self.draw(X, 3, method, metric, sparse, sample_weight=w, random_state=seed)
            assert (w[indices] > 0).all()
            assert metric == "euclidean" or (X[indices].sum(axis=1) > 0).all()

    def test_copies_fill_up_last(self, method, metric, sparse):
        X = np.repeat(np.eye(3), 4, axis=0)
        with pytest.warns(UserWarning, match="kmeans_plusplus: X has only 3 distinct rows") as caught:
            indices = self.draw(X, 12, method, metric, sparse, random_state=0)
        assert caught[0].filename == __file__
        assert sorted(indices) == list(range(12))
        assert len({i // 4 for i in indices[:3]}) == 3

    def test_no_distance_at_all(self, method, metric, sparse):
        for X in (np.ones((6, 3)), np.zeros((6, 3))):
            with pytest.warns(UserWarning, match="distinct rows"):
                self.draw(X, 4, method, metric, sparse, random_state=0)

    def test_numbers_far_apart(self, method, metric, sparse):
        """Rows whose lengths lie 1e6 apart, and a data set at either end of the range."""
        rng = np.random.default_rng(5)
        X = rng.random((40, 3)) * np.where(np.arange(40) % 2, 1e3, 1e-3)[:, None]
        for scale in (1e-140, 1.0, 1e140):
            scaled = self.draw(X * scale, 4, method, metric, sparse, random_state=1)
            assert (scaled == self.draw(X, 4, method, metric, sparse, random_state=1)).all()

    def test_existing_centers_in_any_form(self, method, metric, sparse):
        rng = np.random.default_rng(6)
        X = rng.random((50, 4)).astype(np.float32)
        there = X[[1, 2]].astype(np.float64)
        options = {"method": method, "metric": metric, "random_state": 3}
        expected = self.draw(X, 48, sparse=sparse, existing_centers=there, **options)
        assert not set(expected) & {1, 2}
        for form in (
            sp.csr_array(there),
            sp.csr_matrix(there.astype(np.float32)),
            np.asfortranarray(there),
            there.tolist(),
        ):
            assert (self.draw(X, 48, sparse=sparse, existing_centers=form, **options) == expected).all()
        zero = self.draw(X, 5, sparse=sparse, existing_centers=np.zeros((1, 4)), **options)
        if metric == "cosine":  # no direction to keep away from
            assert (zero == self.draw(X, 5, sparse=sparse, **options)).all()


def test_long_rows_that_are_copies():
    """30 000 products summed in two orders: what rounding leaves of a distance of zero is not drawn by."""
    rng = np.random.default_rng(7)
    X = sp.csr_array(np.repeat(rng.random((3, 30_000)), 4, axis=0) * rng.integers(1, 6, (12, 1)))
    for method, metric in itertools.product(["exact", "fold"], ["cosine", "euclidean"]):
        found = core.kmeans_plusplus(to_core(X), 12, None, metric, 1, 1, "test", method=method)
        assert len(set(found["indices"])) == 12
        assert metric == "euclidean" or found["distinct"] == 3


def test_read_only_and_mapped_rows(tmp_path):
    X = np.random.default_rng(8).random((500, 6))
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    sparse = sp.csr_array(X)
    for part in (sparse.data, sparse.indices, sparse.indptr):
        part.setflags(write=False)
    for seeding in (latom.kmeans_plusplus, latom.afkmc2, latom.kmeans_parallel):
        expected = seeding(X, 9, random_state=0)[1]
        assert (seeding(mapped, 9, random_state=0)[1] == expected).all()
        assert (seeding(np.asfortranarray(X), 9, random_state=0)[1] == expected).all()
        seeding(sparse, 9, random_state=0)
    assert (latom.coreset(mapped, 50, random_state=0)[0] == latom.coreset(X, 50, random_state=0)[0]).all()


def test_many_centers():
    rng = np.random.default_rng(9)
    X = rng.random((20_000, 4))
    D_last = None
    for method in ("fold", "exact"):
        _centers, indices, stats = latom.kmeans_plusplus(
            X, 4000, metric="euclidean", method=method, random_state=0, return_stats=True
        )
        assert len(set(indices)) == 4000
        assert stats["trials"] < 5 * 4000
        D_last = D_last or stats["potential"]
        assert 0.9 < stats["potential"] / D_last < 1.1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers")
@pytest.mark.parametrize(
    "call",
    [
        lambda X: latom.kmeans_plusplus(X, 15_000, metric="euclidean", method="rejection"),
        lambda X: latom.kmeans_plusplus(X, 20_000, metric="euclidean", method="rejection", max_trials=5),
        lambda X: latom.kmeans_plusplus(X, 20_000, metric="euclidean", n_local_trials=50),
        lambda X: latom.kmeans_plusplus(sp.csr_array(X), 20_000, metric="euclidean", method="exact"),
        lambda X: latom.afkmc2(X, 1000, chain_length=10**6, metric="euclidean"),
        lambda X: latom.kmeans_parallel(X, 10_000, metric="euclidean"),
    ],
)
def test_a_signal_stops_each(call):
    """On tight groups, where rejection takes many draws."""

    def ring(*_):
        raise TimeoutError

    rng = np.random.default_rng(10)
    X = 1e6 * rng.random((100, 3))[rng.integers(100, size=20_000)] + rng.random((20_000, 3))
    before = signal.signal(signal.SIGALRM, ring)
    try:
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        with pytest.raises(TimeoutError):
            call(X)
        assert time.perf_counter() - start < 1.5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_no_warning_where_all_is_well():
    X = np.random.default_rng(11).random((50, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seeding in (latom.kmeans_plusplus, latom.afkmc2, latom.kmeans_parallel):
            seeding(X, 50, metric="euclidean", random_state=0)
