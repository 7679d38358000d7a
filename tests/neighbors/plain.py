"""What searches must find, in numpy: all scores in float64, ranked by score and then by index."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def scores(Q, X, metric):
    """Scores of every pair, [queries, rows]."""
    Q, X = (np.asarray(A.toarray() if sp.issparse(A) else A, np.float64) for A in (Q, X))
    products = Q @ X.T
    if metric == "dot":
        return products
    q, x = (Q**2).sum(axis=1)[:, None], (X**2).sum(axis=1)[None, :]
    if metric == "cosine":
        lengths = np.sqrt(q * x)
        return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return 2 * products - q - x


def best(table, k, allowed=None, exclude_self=False):
    """(values, indices) of the k best of each row; -inf and -1 where there are fewer."""
    table = table.copy()
    if allowed is not None:
        table[:, ~allowed] = -np.inf
    if exclude_self:
        np.fill_diagonal(table, -np.inf)
    order = np.argsort(-table, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(table, order, axis=1)
    return values, np.where(np.isinf(values), -1, order)


def whole_numbers(rng, n, d, density, low=-3, high=4):
    """CSR of small integers, whose products are exact in every order of summation."""
    X = sp.random_array((n, d), density=density, rng=rng, format="csr")
    X.data = rng.integers(low, high, len(X.data)).astype(np.float64)
    return X


def documents(rng, n, d, words=12):
    """Rows like TF-IDF: terms by Zipf's law, so that some are in most rows, of length 1."""
    law = 1 / np.arange(1, d + 1)
    columns = rng.choice(d, (n, words), p=law / law.sum())
    X = sp.csr_array((np.ones(n * words), (np.repeat(np.arange(n), words), columns.ravel())), (n, d))
    X.sum_duplicates()
    df = np.bincount(X.indices, minlength=d)
    X.data = (X.data * np.log((1 + n) / (1 + df[X.indices]))).astype(np.float64) + 0.01
    return sp.csr_array(X / np.sqrt((X**2).sum(axis=1))[:, None])
