"""Searches at their ends: of tiles, blocks and lists, of what frequent terms alone reach, of the bar itself.

Numbers are whole, or whole times a power of two, so that numpy has every score without rounding.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from plain import best, scores

from latom._base.backend import backend, call
from latom._base.rows import Rows

TOGETHER = {"together_from": 1, "tile_bytes": 1}


def answers(X, Q, k, metric="dot", **options):
    """(values, indices, stats) of the search of X."""
    search = backend().DocumentSearch(call("test", 1), Rows("test", X).core, metric)
    values, indices, _, stats = search.topk(call("test", 1), Rows("test", Q).core, k, **options)
    return values, indices, stats


def held_to_numpy(X, Q, k, metric="dot", **options):
    values, indices, stats = answers(X, Q, k, metric, **options)
    wanted, at = best(scores(Q, X, metric), k)
    assert (indices == at).all()
    assert (values == wanted).all()
    return stats


def columns(n, **parts):
    """CSR of n rows: of each column, in their order, the rows that hold it and its numbers there."""
    X = np.zeros((n, len(parts)))
    for t, (rows, numbers) in enumerate(parts.values()):
        X[rows, t] = numbers
    return sp.csr_array(X)


@pytest.mark.parametrize(("n", "d"), [(8257, 30), (1921, 30), (49, 1200)])
@pytest.mark.parametrize("container", [sp.csr_array, np.asarray])
@pytest.mark.parametrize("low", [-2, 1])
def test_the_best_rows_stand_at_the_ends_of_tiles_and_blocks(n, d, container, low, rng):
    X = np.where(rng.random((n, d)) < 0.5, rng.integers(low, 4, (n, d)), 0).astype(np.float64)
    Q = np.where(rng.random((9, d)) < 0.5, rng.integers(low, 4, (9, d)), 0).astype(np.float64)
    ends = [e for e in (0, 23, 24, 63, 64, 959, 960, 4095, 4096, 4160, 8191, 8192, n - 1) if e < n]
    for turn, e in enumerate(ends):
        X[e] = (2 + turn % 3) * (Q[turn % len(Q)] + 1)
    for k in (1, 14):
        for options in ({}, TOGETHER):
            held_to_numpy(container(X), sp.csr_array(Q), k, **options)


def test_rows_on_no_list_that_is_walked_are_found_by_their_frequent_terms(rng):
    """A rare term has many equal answers; rows without it score as much, a little more, or a little less."""
    n, k = 20000, 13
    frequent = rng.integers(1, 200, n) / 1024
    with_rare = 5 + rng.permutation(n - 6)[:2100]
    frequent[with_rare] = 1 / 1024
    frequent[[2, 3, n - 1]] = 1, 0.5, 0.5
    rare = np.full(len(with_rare), 0.5)
    rare[:10] = 1
    X = columns(n, frequent=(np.arange(n), frequent), rare=(with_rare, rare))
    steps = np.r_[0, 2.0 ** np.arange(-26, -3)]
    # What the rare term gives to its 11th row and later ones: what 1 or 0.5 of the other gives, more or less.
    bars = [top * (1 + sign * step) for top in (1, 0.5) for step in steps for sign in (-1, 1)]
    Q = np.array([[1, 2 * (bar - 1 / 1024)] for bar in bars])
    stats = held_to_numpy(X, sp.csr_array(Q), k)
    assert stats["exhausted"] == 0
    assert stats["postings"] < 1.1 * len(bars) * len(with_rare)  # the other list is not walked


@pytest.mark.parametrize("exponent", [8, 30, 40, 53])
@pytest.mark.parametrize("options", [{}, TOGETHER])
def test_short_queries_among_rows_of_one_length(exponent, options, rng):
    """What a query adds to a score is a few of the last bits of the row's squared length, and decides."""
    n, d = 6000, 12
    numbers = np.array([1, 2, 3, 4, 5, *np.zeros(d - 5)])
    X = sp.csr_array(rng.permuted(np.tile(numbers, (n, 1)), axis=1))
    Q = np.zeros((120, d))
    for row in Q:
        row[rng.permutation(d)[: rng.integers(2, 4)]] = rng.integers(100, 120)
    Q += np.where(Q > 0, rng.integers(0, 12, Q.shape), 0)
    Q *= 2.0**-exponent
    products = Q @ X.T.toarray() - 27.5  # the score by which rows are ranked, rounded once
    order = np.argsort(-products, axis=1, kind="stable")
    for k in (1, 9):
        _, indices, stats = answers(X, sp.csr_array(Q), k, "euclidean", **options)
        assert (indices == order[:, :k]).all()
        assert not options or stats["sifted"] > 10


@pytest.mark.parametrize("options", [{}, TOGETHER])
def test_what_stands_on_the_bar_by_rare_terms_alone(options, rng):
    """Bounds of such rows have no slack of frequent terms: a rare term that is rounded down loses them."""
    n, rares = 8300, 60
    X = np.zeros((n, rares + 2))
    good = np.r_[0, 255, 256, 8191, 8192, n - 1, rng.permutation(7900)[:54] + 257]
    rest = np.setdiff1d(np.arange(n), good)
    for row in good:
        X[row, rng.permutation(rares)[:45]] = 1 + rng.integers(0, 64, 45) / 64
    some = rng.permutation(rest)[: n // 2]
    X[some, rares] = 16  # in queries, and beside a term that is not, which hides how little it gives
    X[some, rares + 1] = rng.integers(100, 300, len(some))
    Q = np.r_[np.ones(rares), 1, 0] * 2.0 ** -rng.integers(0, 4, (20, 1))
    Q[:, :rares] += rng.integers(0, 8, (20, rares)) / 64
    stats = held_to_numpy(sp.csr_array(X), sp.csr_array(Q), 30, **options)
    assert not options or stats["sifted"] == 20


@pytest.mark.parametrize("place", [0, 1000, 4299])
@pytest.mark.parametrize("options", [{}, TOGETHER])
def test_what_stands_on_the_bar_by_the_largest_number_of_a_frequent_term(options, place, rng):
    n = 4300
    rows = np.r_[place, rng.permutation(np.delete(np.arange(n), place))]
    X = columns(
        n,
        walked=(rows[:2100], np.r_[1, rng.integers(1, 900, 2099) / 1024]),
        open=(rows[2100:], 0.5),
        hidden=(rows[2100:], rng.integers(4, 11, n - 2100)),
    )
    stats = held_to_numpy(X, sp.csr_array([[1, 0.25, 0], [3, 0.75, 0]]), 1, **options)
    assert not options or stats["sifted"] == 2


def test_sums_of_many_terms_that_float32_rounds_one_way(rng):
    """Seven terms below zero first, so that all rows are looked at; later rows are better, by little."""
    n, half = 300, 1024
    small = 2.0**-14 - 2.0**-20  # what a sum above 1024 loses each time, and one below does not
    X = np.ones((n, 7 + 2 * half))
    X[:, 7 : 7 + half] -= small
    X[:, 7 + half :] += small
    X[:, -1] += np.arange(n) * 2.0**-12
    Q = np.r_[-np.ones(7), np.ones(2 * half)]
    stats = held_to_numpy(sp.csr_array(X), sp.csr_array([Q]), 5)
    assert stats["exhausted"] == 1


@pytest.mark.parametrize("options", [{}, TOGETHER])
def test_more_queries_than_are_answered_together(options, rng):
    n, many = 2200, 1 << 16
    X = columns(
        n,
        one=(np.arange(n), rng.integers(1, 99, n)),
        other=(np.arange(n), rng.integers(1, 99, n)),
        rare=([7], 5),
        hidden=(np.arange(n), rng.integers(100, 900, n)),
    )
    last = np.c_[rng.integers(4, 9, (40, 2)), np.zeros((40, 2))]
    first = sp.csr_array(np.tile([[0, 0, 1.0, 0]], (many, 1)))
    Q = sp.csr_array(sp.vstack([first, sp.csr_array(last)]))
    table = scores(last, X, "dot")
    without = np.r_[np.full(many, -1), table.argmax(axis=1)]
    values, indices, stats = answers(X, Q, 1, without=without, **options)
    assert (indices[:many] == 7).all()
    assert (values[:many] == 5).all()
    table[np.arange(40), without[many:]] = -np.inf
    wanted, at = best(table, 1)
    assert (indices[many:] == at).all()
    assert (values[many:] == wanted).all()
    assert not options or stats["sifted"] == 40


def test_thresholds_of_queries_of_which_some_have_long_lists(rng):
    n = 4300
    X = columns(
        n,
        one=(np.arange(n), rng.integers(1, 99, n)),
        other=(np.arange(n), rng.integers(1, 99, n)),
        rare=(np.arange(30) * 9, rng.integers(1, 99, 30)),
        hidden=(np.arange(n), rng.integers(100, 900, n)),
    )
    Q = np.tile([0, 0, 1.0, 0], (80, 1))
    Q[::2] = np.c_[rng.integers(4, 9, (40, 2)), np.zeros((40, 2))]
    table = scores(Q, X, "dot")
    bars = np.sort(table, axis=1)[np.arange(80), -rng.integers(2, 20, 80)]
    bars[4::20] = 1e-3  # which nearly all rows exceed, as do those that fill up the last line of bytes
    search = backend().DocumentSearch(call("test", 1), Rows("test", X).core, "dot")
    indptr, indices, values = search.above(
        call("test", 1), Rows("test", sp.csr_array(Q)).core, bars, **TOGETHER
    )
    row, column = np.nonzero(table > bars[:, None])
    assert (np.repeat(np.arange(80), np.diff(indptr)) == row).all()
    assert (indices == column).all()
    assert (values == table[row, column]).all()


@pytest.mark.parametrize("options", [{}, TOGETHER])
def test_a_row_of_rare_terms_alone_that_come_late_in_a_long_query(options):
    """Lists of the first terms are long enough for a bar; the row is on none, and has no frequent term."""
    n, terms = 8200, 2200
    rows = np.r_[np.arange(2100) + 5, np.full(terms - 2100, 4), np.arange(n)]
    X = sp.csr_array(
        (np.r_[np.ones(terms), np.full(n, 2.0**-9)], (rows, np.r_[np.arange(terms), np.full(n, terms)])),
        (n, terms + 1),
    )
    Q = np.ones((3, terms + 1))
    Q[1, ::3] = 0.5
    Q[2, -1] = 0
    held_to_numpy(X, sp.csr_array(Q), 3, **options)
