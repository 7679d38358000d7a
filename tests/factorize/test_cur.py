"""CUR and CURSearch: exact where ranks allow it, numpy's pseudo-inverse elsewhere, budgets to the call."""

from __future__ import annotations

import numpy as np
import pytest

from latom import CUR, CURSearch


def low_rank(rng, n=80, m=60, r=5):
    return rng.standard_normal((n, r)) @ rng.standard_normal((r, m))


@pytest.mark.parametrize("how", ["uniform", "leverage", "kmeans++"])
@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (12, 7), (7, 12), (80, 60)])
def test_a_matrix_of_low_rank_is_recovered(how, rows, columns, rng):
    A = low_rank(rng)
    model = CUR(rows, columns, row_selection=how, random_state=1).fit(A)
    error = np.linalg.norm(model.reconstruct() - A) / np.linalg.norm(A)
    assert error < 1e-8
    assert (np.diff(model.row_indices_) > 0).all()
    assert (np.diff(model.column_indices_) > 0).all()
    assert np.array_equal(model.R_, A[model.row_indices_])
    assert np.array_equal(model.C_, A[:, model.column_indices_])


def test_the_link_is_the_pseudo_inverse(rng):
    A = rng.standard_normal((30, 20))
    model = CUR(9, 6, random_state=0).fit(A)
    inner = A[np.ix_(model.row_indices_, model.column_indices_)]
    assert np.allclose(model.U_, np.linalg.pinv(inner, rcond=1e-6), atol=1e-10)
    assert np.allclose(model.reconstruct([3, 1], [5]), model.reconstruct()[[3, 1]][:, [5]])
    damped = CUR(9, 6, ridge=0.1, random_state=0).fit(A)
    ridge = 0.1 * np.linalg.norm(inner, 2)
    assert np.allclose(
        damped.U_, np.linalg.solve(inner.T @ inner + ridge**2 * np.eye(6), inner.T), atol=1e-10
    )
    assert np.linalg.matrix_rank(CUR(9, 6, rcond=0.5, random_state=0).fit(A).U_) < 6
    assert CUR(9, 6, random_state=0).fit(A.astype(np.float32)).reconstruct().dtype == np.float32
    assert (CUR(3, 2, random_state=0).fit(np.zeros((5, 4))).reconstruct() == 0).all()


def test_a_function_is_asked_for_each_entry_once(rng):
    A, asked = low_rank(rng), np.zeros((80, 60), int)

    def score(rows, columns):
        asked[np.ix_(rows, columns)] += 1
        return A[np.ix_(rows, columns)]

    model = CUR(10, 8, random_state=0).fit(score, shape=A.shape)
    assert asked.max() == 1
    assert asked.sum() == model.calls_ == 10 * 60 + 70 * 8
    assert np.array_equal(model.reconstruct(), CUR(10, 8, random_state=0).fit(A).reconstruct())


@pytest.mark.parametrize(
    ("change", "X", "words"),
    [
        ({"n_rows": 31}, None, "n_rows must be"),
        ({"row_selection": "best"}, None, "row_selection must be"),
        ({"rcond": 2}, None, "rcond must be"),
        ({"row_selection": "leverage"}, "function", "row_selection and column_selection must be 'uniform'"),
        ({}, np.full((30, 20), np.nan), "X must be finite"),
    ],
)
def test_wrong_arguments_are_refused(change, X, words, rng):
    X = rng.random((30, 20)) if X is None else X
    X = (lambda rows, columns: None) if isinstance(X, str) else X
    with pytest.raises(ValueError, match=f"^CUR.fit: {words}"):
        CUR(3, 3).set_params(**change).fit(X, shape=(30, 20))
    if callable(X):
        with pytest.raises(ValueError, match="shape must be"):
            CUR(3, 3).fit(X)
        with pytest.raises(ValueError, match="score must return an array of shape"):
            CUR(3, 3).fit(lambda rows, columns: np.zeros((2, 2)), shape=(30, 20))


# ---- search


class Counted:
    """A score that counts which pairs it was asked for."""

    def __init__(self, A):
        self.A, self.asked = A, np.zeros(A.shape, int)

    def __call__(self, query, items):
        self.asked[query, items] += 1
        return self.A[query, items]


@pytest.mark.parametrize("rounds", [1, 2, 5])
@pytest.mark.parametrize("budget", [12, 30, 200])
def test_budgets_are_kept_to_the_call(rounds, budget, rng):
    A = low_rank(rng, 60, 200, 20) + 0.3 * rng.standard_normal((60, 200))
    score = Counted(A)
    search = CURSearch(score, 200, n_anchor_items=12, rounds=rounds, random_state=0).fit(range(40))
    assert score.asked.sum() == search.calls_ == 40 * 200
    score.asked[:] = 0
    values, indices, calls = search.search(np.arange(40, 60), k=10, budget=budget)
    assert score.asked.max() == 1
    assert (score.asked[40:].sum(axis=1) == budget).all()
    assert (calls == budget).all()
    assert np.array_equal(values, np.take_along_axis(A[40:], indices, axis=1))
    assert (np.diff(values, axis=1) <= 0).all()
    if budget == 200:
        assert np.array_equal(indices, np.argsort(-A[40:], axis=1, kind="stable")[:, :10])
    same = CURSearch(A, n_anchor_items=12, rounds=rounds, random_state=0).fit(np.arange(40))
    assert np.array_equal(same.search(np.arange(40, 60), k=10, budget=budget)[1], indices)


@pytest.mark.parametrize("rounds", [1, 3])
def test_low_rank_is_found_with_few_calls(rounds, rng):
    A = low_rank(rng, 100, 500, 6)
    search = CURSearch(A, n_anchor_items=9, rounds=rounds, random_state=0).fit(np.arange(60))
    _, indices, _ = search.search(np.arange(60, 100), k=5, budget=14)
    assert np.array_equal(indices, np.argsort(-A[60:], axis=1)[:, :5])


def recall(A, search, budget):
    _, found, _ = search.search(np.arange(200, 260), k=10, budget=budget)
    best = np.argsort(-A[200:], axis=1)[:, :10]
    return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, best, strict=True)])


def test_recall_rises_with_the_budget_and_with_rounds(rng):
    A = low_rank(rng, 260, 400, 12) + 0.5 * rng.standard_normal((260, 400))
    one, many = (
        CURSearch(A, n_anchor_items=24, rounds=rounds, ridge=0.05, random_state=0).fit(np.arange(200))
        for rounds in (1, 4)
    )
    recalls = [recall(A, one, budget) for budget in (34, 60, 120, 400)]
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1
    assert recall(A, many, 60) >= recalls[1]


def test_estimates_are_those_of_the_pseudo_inverse(rng):
    A = rng.standard_normal((50, 90))
    search = CURSearch(A, n_anchor_items=8, rounds=2, random_state=0).fit(np.arange(40))
    known = np.array([[3, 80, 41, 7, 5, 60], [1, 2, 3, 4, 5, 6]])
    values = np.take_along_axis(A[40:42], known, axis=1)
    rows, atoms = search._estimates(known, values)
    for i in range(2):
        S = search.R_[:, known[i]]
        assert np.allclose(rows[i] @ atoms.T, values[i] @ np.linalg.pinv(S) @ search.R_, atol=1e-8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda A: CURSearch(A, n_anchor_items=91).fit([0]), "fit: n_anchor_items must be"),
        (lambda A: CURSearch(A, n_anchor_items=5, rounds=6).fit([0]), "fit: rounds must be"),
        (lambda A: CURSearch(A, n_anchor_items=5).fit([]), "fit: X must have at least one query"),
        (
            lambda A: CURSearch(A, n_anchor_items=5, n_anchor_queries=2).fit([0]),
            "fit: n_anchor_queries must be",
        ),
        (
            lambda A: CURSearch(lambda q, items: items, n_anchor_items=5).fit([0]),
            "fit: n_items must be given",
        ),
        (
            lambda A: CURSearch(lambda q, items: [0.0], 90, n_anchor_items=5).fit([0]),
            "fit: score must return a",
        ),
        (lambda A: CURSearch(A, n_anchor_items=5).fit([0]).search([1], 3, 4), "search: budget must be"),
        (lambda A: CURSearch(A, n_anchor_items=5).fit([0]).search([1], 9, 8), "search: budget must be"),
        (lambda A: CURSearch(A, n_anchor_items=5).fit([0]).search([1], 3, 91), "search: budget must be"),
    ],
)
def test_wrong_requests_are_refused(call, words, rng):
    with pytest.raises(ValueError, match=f"^CURSearch.{words}"):
        call(rng.standard_normal((50, 90)))
