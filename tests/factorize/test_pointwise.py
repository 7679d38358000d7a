"""PointwiseFactorization: the gradient table, an epoch in plain Python, bits on any number of threads."""

from __future__ import annotations

import _thread
import threading

import numpy as np
import plain_pairs as plain
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import latom
from latom import PointwiseFactorization, _core
from latom.factorize.pointwise import LOSSES


def clicks(rng, n=30, m=200, density=0.1):
    X = sp.random_array((n, m), density=density, rng=rng, format="csr", dtype=np.float32)
    X.data[:] = 1
    X.sort_indices()
    return X


# ---- gradients


@pytest.mark.parametrize("label", [True, False])
def test_the_table_is_the_gradient_of_the_likelihood(label):
    """nbpo_o by finite differences; nbpo_s of the likelihood; bpo as nbpo_o without noise."""

    def likelihood(s, g):
        p, gamma = plain.sigmoid(s), plain.sigmoid(g)
        return (1 - gamma) * p if label else 1 - p + gamma * p

    step = 1e-6
    for s in (-3.0, -0.2, 0.0, 1.5, 6.0):
        for g in (-5.0, 0.3, 2.0):
            pull = plain.positive if label else plain.negative
            p, gamma = plain.sigmoid(s), plain.sigmoid(g)

            def slope(f, s=s, g=g):
                return (
                    (f(s + step, g) - f(s - step, g)) / (2 * step),
                    (f(s, g + step) - f(s, g - step)) / (2 * step),
                )

            assert np.allclose(
                pull("nbpo_o", p, gamma), slope(lambda *x: np.log(likelihood(*x))), rtol=1e-6, atol=1e-9
            )
            assert np.allclose(pull("nbpo_s", p, gamma), slope(likelihood), rtol=1e-6, atol=1e-9)
            assert np.allclose(pull("nbpo_o", p, 0)[0], pull("bpo", p, 0)[0])
            assert np.allclose(pull("nbpo", p, 0)[0], pull("bpo", p, 0)[0])


# ---- an epoch


def factors(rng, shape, k, noisy):
    start = [rng.standard_normal((size, k)).astype(np.float32) * 0.7 for size in shape]
    return start + [rng.standard_normal((size, k)).astype(np.float32) for size in shape] if noisy else start


def core_epoch(
    X, seed, number, loss, negatives, start, rate, decay, noise_decay=0.0, threads=1, weights=None, w=0.0,
    **options,
):  # fmt: skip
    """pair_epoch on factors padded to whole lines; returns (factors, loss)."""
    k = start[0].shape[1]
    wide = [np.pad(f, ((0, 0), (0, -k % 16))) for f in start]
    context = _core.Context("test", threads, seed)
    value = _core.pair_epoch(
        context, X.indptr.astype(np.int64), X.indices.astype(np.int32), weights, loss, negatives, w, number,
        wide[0], wide[1], rate, decay, *(wide[2:] or (None, None)), noise_decay, **options,
    )  # fmt: skip
    assert all((f[:, k:] == 0).all() for f in wide)
    return [f[:, :k] for f in wide], value


@pytest.mark.parametrize(
    ("k", "options"), [(3, {}), (16, {"ones": 15}), (20, {"fixed_columns": True, "ones": 0})]
)
@pytest.mark.parametrize("loss", LOSSES)
def test_an_epoch_is_that_of_plain_python(loss, k, options, rng):
    X = clicks(rng, 60, 200, 0.2)  # two runs of rows and two sets of columns
    noisy = loss.startswith("nbpo")
    start = factors(rng, X.shape, k, noisy)
    got, _ = core_epoch(X, 7, 3, loss, 2, start, 0.1, 0.2, 0.3, **options)
    expected = [f.astype(np.float64) for f in start]
    fixed, ones = options.get("fixed_columns", False), options.get("ones", -1)
    noise = expected[2:] or (None, None)
    plain.epoch(X, 7, 3, loss, 2, *expected[:2], 0.1, 0.2, *noise, 0.3, ones, fixed)
    for which, (ours, theirs, before) in enumerate(zip(got, expected, start, strict=True)):
        assert np.abs(ours - theirs).max() < 2e-5
        assert (np.abs(ours - before).max() > 0.01) != (fixed and which % 2 == 1)
    if ones >= 0:
        assert (got[0][:, ones] == 1).all()


def test_an_epoch_of_relevance_is_that_of_plain_python(rng):
    X = clicks(rng, 60, 150, 0.25)
    X.data = rng.uniform(1, 4, X.nnz).astype(np.float32)
    start = factors(rng, X.shape, 5, False)
    got, _ = core_epoch(X, 5, 1, "relevance", 3, start, 0.05, 0.1, weights=X.data, w=0.8)
    expected = [f.astype(np.float64) for f in start]
    plain.relevance_epoch(X, 5, 1, 0.8, 3, *expected, 0.05, 0.1)
    for ours, theirs in zip(got, expected, strict=True):
        assert np.abs(ours - theirs).max() < 2e-5


def test_rows_that_have_everything_are_left_alone(rng):
    X = sp.csr_array(np.vstack([np.ones((1, 70)), np.eye(5, 70)]).astype(np.float32))
    start = factors(rng, X.shape, 4, False)
    got, loss = core_epoch(X, 1, 0, "bpr", 2, start, 0.1, 0.0)
    assert np.array_equal(got[0][0], start[0][0])  # no negative to be found
    assert not np.array_equal(got[0][1], start[0][1])
    assert np.isfinite(loss)


def test_a_positive_counts_once_per_negative_that_was_found(rng):
    """Of 80 columns all but one or two: some draws are in vain."""
    X = np.ones((4, 80), np.float32)
    X[[0, 1, 2, 3, 3], [5, 70, 0, 33, 34]] = 0
    X = sp.csr_array(X)
    start = factors(rng, X.shape, 6, True)
    got, _ = core_epoch(X, 3, 0, "nbpo", 3, start, 0.05, 0.1, 0.2)
    expected = [f.astype(np.float64) for f in start]
    plain.epoch(X, 3, 0, "nbpo", 3, *expected[:2], 0.05, 0.1, *expected[2:], 0.2)
    for ours, theirs in zip(got, expected, strict=True):
        assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize("loss", [*LOSSES, "relevance"])
def test_the_same_bits_for_every_number_of_threads_and_variant(loss, rng):
    X = clicks(rng, 300, 1100, 0.06)
    start = factors(rng, X.shape, 20, loss.startswith("nbpo"))
    before, seen = _core.isa(), set()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 5):
                got, value = core_epoch(X, 3, 0, loss, 4, start, 0.1, 0.1, 0.1, threads, X.data, 1.0)
                seen.add((value, *(f.tobytes() for f in got)))
    finally:
        _core.set_isa(before)
    assert len(seen) == 1


# ---- the estimator


def blocks(rng, groups=4, users=30, items=20, density=0.4):
    """Users who choose within their group of items."""
    X = np.kron(np.eye(groups), np.ones((users, items))) * (
        rng.random((groups * users, groups * items)) < density
    )
    return sp.csr_array(X.astype(np.float32))


@pytest.mark.parametrize("loss", LOSSES)
def test_groups_are_found(loss, rng):
    X = blocks(rng)
    model = PointwiseFactorization(
        8, loss=loss, max_iter=150, learning_rate=0.1, random_state=0, n_threads=2
    ).fit(X)
    ids, scores = model.recommend(np.arange(120), X, N=5)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (X[np.arange(120).repeat(5), ids.ravel()] == 0).all()
    assert (ids // 20 == np.arange(120)[:, None] // 30).mean() > 0.9
    objective = model.history_["objective"]
    assert model.n_iter_ == 150 == len(objective)
    if loss != "nbpo_s":  # which ascends the likelihood, not its logarithm
        assert objective[-10:].mean() < 0.8 * objective[0]


def test_the_rate_falls_from_epoch_to_epoch(rng):
    X = clicks(rng)
    one = PointwiseFactorization(4, max_iter=1, random_state=0).fit(X)
    still = PointwiseFactorization(4, max_iter=5, learning_decay=1e-9, random_state=0).fit(X)
    on = PointwiseFactorization(4, max_iter=5, learning_decay=0.9, random_state=0).fit(X)
    assert np.abs(still.item_factors - one.item_factors).max() < 1e-6
    assert np.abs(on.item_factors - one.item_factors).max() > 1e-3


def test_biases_of_items_stand_beside_their_factors(rng):
    X = sp.csr_array(np.where(rng.random((300, 100)) < np.linspace(0.4, 0.02, 100), 1.0, 0.0))
    plain_model = PointwiseFactorization(4, max_iter=20, random_state=0).fit(X)
    model = PointwiseFactorization(4, item_bias=True, max_iter=20, random_state=0).fit(X)
    assert plain_model.user_factors.shape[1] == 4
    assert model.user_factors.shape == (300, 5)
    assert model.components_.shape == (5, 100)
    assert (model.user_factors[:, 4] == 1).all()
    popularity = np.asarray(X.sum(axis=0)).ravel()
    assert np.corrcoef(model.item_factors[:, 4], popularity)[0, 1] > 0.9
    zeros = sp.csr_array((np.zeros(2, np.float32), [3, 7], [0, 2]), shape=(1, 100))
    for nothing in (sp.csr_array((1, 100)), zeros):
        assert model.recalculate_user(0, nothing).tolist() == [0, 0, 0, 0, 1]
    ids, _ = model.recommend(0, sp.csr_array((1, 100)), N=5, recalculate_user=True)
    assert (popularity[ids] >= np.sort(popularity)[-20]).all()


@pytest.mark.parametrize("options", [{"loss": "bpr", "item_bias": True}, {"loss": "bpo"}, {"loss": "nbpo"}])
def test_new_users_are_folded_in(options, rng):
    X = blocks(rng)
    model = PointwiseFactorization(8, max_iter=100, learning_rate=0.1, random_state=0, **options).fit(X)
    items = model.item_factors.copy()
    new = blocks(rng, users=5)
    factors = model.recalculate_user(np.arange(20), new)
    assert factors.shape == (20, model.item_factors.shape[1])
    assert np.array_equal(items, model.item_factors)
    ids, _ = model.recommend(np.arange(20), new, N=4, recalculate_user=True)
    assert (ids // 20 == np.arange(20)[:, None] // 5).mean() > 0.9
    one, _ = model.recommend(0, new[[0]], N=4, recalculate_user=True)
    assert (one // 20 == 0).all()
    again = clone(model).set_params(n_threads=1).fit(X)
    assert np.array_equal(again.recalculate_user(np.arange(20), new), factors)
    similar, cosines = model.similar_items(np.arange(80), N=5)
    assert (similar[:, 0] == np.arange(80)).all()
    assert (similar // 20 == np.arange(80)[:, None] // 20).mean() > 0.9
    assert np.allclose(cosines[:, 0], 1, atol=1e-5)
    assert not hasattr(model, "recalculate_item")


def test_fits_are_the_same_for_threads_and_containers(rng):
    X = clicks(rng, 100, 300, 0.05)
    wide = X.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    stored = X.copy()
    stored.data = stored.data * 3
    expected = PointwiseFactorization(10, max_iter=3, random_state=1, n_threads=1).fit(X)
    for other in (X.tocsc(), X.tocoo(), X.toarray(), wide, stored, X.astype(np.float64), X.astype(bool)):
        for threads in (2, 5):
            model = clone(expected).set_params(n_threads=threads).fit(other)
            assert np.array_equal(model.user_factors, expected.user_factors)
            assert np.array_equal(model.item_factors, expected.item_factors)
    assert expected.components_.shape == (10, 300)
    assert expected.user_factors.dtype == np.float32


def test_zeros_that_are_stored_are_no_positives(rng):
    X = clicks(rng)
    Z = X.copy()
    dropped = rng.random(X.nnz) < 0.3
    Z.data[dropped] = 0
    clean = Z.copy()
    clean.eliminate_zeros()
    fit = PointwiseFactorization(4, max_iter=2, random_state=0).fit
    assert np.array_equal(fit(Z).user_factors.copy(), fit(clean).user_factors)


def test_callbacks_and_tol_end_a_fit(rng):
    X = clicks(rng)
    seen = []
    model = PointwiseFactorization(
        4, random_state=0, callback=lambda state: seen.append(state) or len(seen) == 3
    )
    assert model.fit(X).n_iter_ == 3
    assert [state.iteration for state in seen] == [1, 2, 3]
    assert model.set_params(callback=None, tol=0.9).fit(X).n_iter_ == 2


def test_an_interrupt_leaves_the_last_whole_epoch(rng):
    X = clicks(rng, 2000, 3000, 0.02)
    model = PointwiseFactorization(64, loss="nbpo", max_iter=10_000, random_state=0)
    kept = {}

    def stop(state):
        kept["factors"] = model.user_factors.copy(), model.item_factors.copy()
        if state.iteration == 1:
            threading.Timer(0.05, _thread.interrupt_main).start()

    with pytest.raises(KeyboardInterrupt):
        model.set_params(callback=stop).fit(X)
    assert np.array_equal(model.user_factors, kept["factors"][0])
    assert np.array_equal(model.item_factors, kept["factors"][1])
    assert model.n_iter_ == len(model.history_) >= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": "bprs"}, "loss must be .*The nearest is 'bpr'"),
        ({"n_negatives": 0}, "n_negatives must be an integer in"),
        ({"learning_rate": 0}, "learning_rate must be a positive number"),
        ({"learning_rate": 1e30}, "learning_rate must be small enough"),
        ({"regularization": -1}, "regularization must be"),
        ({"n_components": 0}, "n_components must be"),
        ({"noise_components": 1.5}, "noise_components must be"),
        ({"item_bias": 1}, "item_bias must be"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"callback": 3}, "callback must be"),
    ],
)
def test_wrong_parameters_are_refused(change, words, rng):
    with pytest.raises((ValueError, TypeError), match=rf"^PointwiseFactorization.fit: {words}"):
        PointwiseFactorization(4, max_iter=2).set_params(**change).fit(clicks(rng))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((3, 4)), "entry above 0"),
        (-np.ones((3, 4)), r"not be negative \(Negative values in data\); got -1.0 in row 0"),
        (np.full((3, 4), np.nan), "NaN"),
    ],
)
def test_wrong_numbers_are_refused(X, words):
    with pytest.raises(ValueError, match=words):
        PointwiseFactorization(4).fit(X)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_small_shapes(shape):
    X = np.zeros(shape)
    X[0, 0] = 1
    model = PointwiseFactorization(3, max_iter=2, random_state=0).fit(X)
    ids, scores = model.recommend(0, sp.csr_array(X[:1]), N=3)
    assert 0 not in ids
    assert len(set(ids)) == len(ids)
    assert len(scores) == len(ids) == min(3, shape[1] - 1)


# ---- recommendations


def test_recommendations_are_the_best_of_the_others(rng):
    X = clicks(rng, 50, 120, 0.3)
    X = sp.csr_array(sp.vstack([X[:48], sp.csr_array(np.ones((1, 120), np.float32)), sp.csr_array((1, 120))]))
    model = PointwiseFactorization(6, max_iter=3, random_state=0).fit(X)
    scores = model.user_factors.astype(np.float64) @ model.item_factors.T.astype(np.float64)
    users = np.array([49, 3, 3, 48, 17, 0])
    for given, banned in ((X[users], X[users].toarray() > 0), (None, np.zeros((6, 120), bool))):
        ids, values = model.recommend(users, given, 9, filter_already_liked_items=given is not None)
        assert ids.dtype == np.int32
        assert ids.shape == values.shape == (6, 9)
        masked = np.where(banned, -np.inf, scores[users])
        best = np.argsort(-masked, axis=1, kind="stable")[:, :9]
        left = np.isfinite(np.take_along_axis(masked, best, axis=1))
        assert np.array_equal(ids, np.where(left, best, -1))
        assert np.allclose(values[left], np.take_along_axis(masked, best, axis=1)[left], atol=1e-6)
        assert np.isneginf(values[~left]).all()
    one, value = model.recommend(3, X[[3]], N=4)
    assert np.array_equal(one, model.recommend([3], X[[3]], N=4)[0][0])
    assert value.shape == (4,)
    assert np.allclose(model.decision_function([3, 4], [7, 8]), scores[[3, 4], [7, 8]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([99],), "userid must be in"),
        (([0.5],), "userid must be an int"),
        (([0], None), "user_items must be a CSR matrix"),
        (([0], sp.csr_array((2, 200))), "user_items must have one row per id"),
        (([0], sp.csr_array((1, 200)), 0), "N must be"),
    ],
)
def test_wrong_requests_are_refused(arguments, words, rng):
    model = PointwiseFactorization(4, max_iter=1, random_state=0).fit(clicks(rng))
    with pytest.raises(
        (ValueError, TypeError, IndexError), match=f"PointwiseFactorization.recommend: {words}"
    ):
        model.recommend(*arguments)


def test_it_is_public():
    assert latom.PointwiseFactorization is PointwiseFactorization
