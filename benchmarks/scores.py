"""How an answer is scored, alike for every library: from the problem and the answer alone, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Problem
from scipy.optimize import linear_sum_assignment

SCORED_ROWS = 64  # of a top-k answer; the float64 scores of all would take longer than the cases


def mean_cosine(X: sp.csr_array, labels: np.ndarray) -> float:
    """Mean over the rows of the cosine with the normalized sum of their cluster, in float64.

    It depends on the partition alone, so it compares Euclidean with spherical methods and does not
    care what a library returns as centers. Zero rows count as 0.
    """
    n = X.shape[0]
    X64 = sp.csr_array((X.data.astype(np.float64), X.indices, X.indptr), shape=X.shape)
    norms = np.sqrt(np.asarray(X64.multiply(X64).sum(axis=1)).ravel())
    scale = np.divide(1.0, norms, out=np.zeros(n), where=norms > 0)
    members = sp.csr_array((scale, (np.asarray(labels, np.int64), np.arange(n))))
    sums = members @ X64  # [clusters, d]; Σ_i ⟨x_i, s/‖s‖⟩ over a cluster is ‖s‖
    return float(np.sqrt(np.asarray(sums.multiply(sums).sum(axis=1))).sum() / n)


def inertia(X: Any, labels: np.ndarray) -> float:
    """Sum over the rows of the squared distance to the mean of their cluster, in float64.

    Like `mean_cosine` it depends on the partition alone.
    """
    n = X.shape[0]
    X64 = X.astype(np.float64)
    labels = np.asarray(labels, np.int64)
    members = sp.csr_array((np.ones(n), (labels, np.arange(n))))
    sizes = np.maximum(np.bincount(labels), 1)[:, None]
    if sp.issparse(X):  # Σ‖x‖² − Σ‖sum of a cluster‖² / its size: their differences would be dense
        sums = (members @ X64).toarray()
        return float(X64.multiply(X64).sum() - (sums * sums / sizes).sum())
    means = (members @ X64) / sizes
    X64 -= means[labels]
    return float(np.einsum("ij,ij->", X64, X64))


def recall(problem: Problem, indices: np.ndarray) -> float:
    """Share of the float64 top-k that was found, over a sample of the rows; 1 means the exact sets.

    An index counts when its float64 score reaches the k-th best but for the rounding of float64, so
    that either of two equal atoms will do; an index given twice counts once.
    """
    X, atoms, k = problem["X"], problem["atoms"], int(problem["k"])
    rows = np.random.default_rng(0).permutation(X.shape[0])[:SCORED_ROWS]
    sample = X[rows].astype(np.float64)
    scores = np.empty((len(rows), atoms.shape[0]))
    for start in range(0, atoms.shape[0], 8192):
        block = atoms[start : start + 8192].astype(np.float64)
        scores[:, start : start + 8192] = sample @ block.T
        if str(problem["metric"]) == "euclidean":  # −‖x − w‖² but for ‖x‖², the same for all atoms
            scores[:, start : start + 8192] -= 0.5 * np.einsum("ij,ij->i", block, block)
    kth = np.partition(scores, -k, axis=1)[:, -k]
    slack = 1e-13 * np.abs(scores).max(axis=1)
    found = 0
    for row, line, least in zip(indices[rows], scores, kth - slack, strict=True):
        given = np.unique(row)
        found += min(k, int((line[given[given >= 0]] >= least).sum()))
    return found / (k * len(rows))


def recommended(problem: Problem, indices: np.ndarray) -> float:
    """:func:`recall` of the best items of a sample of users, among those that they do not have."""
    users, items, k = problem["queries"], problem["atoms"].astype(np.float64), int(problem["k"])
    have = problem["X"].tocsr()
    found = 0
    sample = np.random.default_rng(0).permutation(len(users))[:SCORED_ROWS]
    for user in sample:
        scores = items @ users[user].astype(np.float64)
        scores[have.indices[have.indptr[user] : have.indptr[user + 1]]] = -np.inf
        least = np.partition(scores, -k)[-k] - 1e-13 * np.abs(scores[np.isfinite(scores)]).max()
        found += min(k, int((scores[np.unique(indices[user])] >= least).sum()))
    return found / (k * len(sample))


def held_out_error(problem: Problem, predictions: np.ndarray) -> float:
    """Root mean squared error of the predictions of held-out entries."""
    return float(np.sqrt(np.mean((predictions.astype(np.float64) - problem["values"]) ** 2)))


def training_loss(problem: Problem, losses: np.ndarray) -> float:
    """The loss that the fifth step of training meets, relative to the first's."""
    return float(losses[-1] / losses[0])


def sparse_recall(problem: Problem, indices: np.ndarray) -> float:
    """:func:`recall` of sparse rows among sparse atoms, by dot product."""
    X, atoms, k = problem["X"], problem["atoms"], int(problem["k"])
    rows = np.random.default_rng(0).permutation(X.shape[0])[: SCORED_ROWS // 4]
    scores = (X[rows].astype(np.float64) @ atoms.T.astype(np.float64)).toarray()
    kth = np.partition(scores, -k, axis=1)[:, -k] - 1e-13
    found = 0
    for row, line, least in zip(indices[rows], scores, kth, strict=True):
        given = np.unique(row)
        found += min(k, int((line[given[given >= 0]] >= least).sum()))
    return found / (k * len(rows))


def decoding_error(problem: Problem, decoded: np.ndarray) -> float:
    """Largest ‖row − float64 row‖ / ‖float64 row‖ over the rows."""
    exact = problem["codes"].astype(np.float64) @ problem["atoms"].astype(np.float64)
    return float((np.linalg.norm(decoded - exact, axis=1) / np.linalg.norm(exact, axis=1)).max())


def pursuit_error(problem: Problem, codes: np.ndarray) -> float:
    """sum |x - c W|^2 / sum |x|^2 in float64; NaN where a row has more than k coefficients."""
    X, atoms = problem["X"].astype(np.float64), problem["atoms"].astype(np.float64)
    if (codes != 0).sum(axis=1).max() > int(problem["k"]):
        return float("nan")
    return float(((X - codes.astype(np.float64) @ atoms) ** 2).sum() / (X**2).sum())


def relative_loss(problem: Problem, factors: np.ndarray) -> float:
    """‖X − W H‖² / ‖X‖² in float64, for codes W above the transposed components H, in one array [n + d, m].

    NaN where W has negative entries, or a component more entries than it may keep (ties aside, which
    float32 data do not have).
    """
    X, kept = problem["X"], int(problem["kept"])
    n = X.shape[0]
    W, H = factors[:n].astype(np.float64), factors[n:].T.astype(np.float64)
    if W.min() < 0 or (kept and np.count_nonzero(H, axis=1).max() > kept):
        return float("nan")
    loss = total = 0.0
    for start in range(0, n, 2048):
        rows = X[start : start + 2048].astype(np.float64)
        total += float(np.einsum("ij,ij->", rows, rows))
        rows -= W[start : start + 2048] @ H
        loss += float(np.einsum("ij,ij->", rows, rows))
    return loss / total


def squared_loss(problem: Problem, factors: np.ndarray) -> float:
    """‖X − W H‖² / ‖X‖² in float64, for W above the transpose of H; by traces. NaN for negative entries."""
    X = problem["X"]
    X = X.astype(np.float64)
    W, F = factors[: X.shape[0]].astype(np.float64), factors[X.shape[0] :].astype(np.float64)
    if factors.min() < 0:
        return float("nan")
    total = float((X.data**2).sum() if sp.issparse(X) else (X**2).sum())
    return float(1 - (2 * ((X @ F) * W).sum() - ((W.T @ W) * (F.T @ F)).sum()) / total)


def weighted_loss(problem: Problem, factors: np.ndarray) -> float:
    """implicit's objective divided by the sum of its weights, in float64, for users above items."""
    X = problem["X"].tocoo()
    n, d = X.shape
    ridge, c = float(problem["regularization"]), X.data.astype(np.float64) * float(problem["alpha"])
    U, V = factors[:n].astype(np.float64), factors[n:].astype(np.float64)
    loss = ridge * float((U**2).sum() + (V**2).sum()) + float(((U.T @ U) * (V.T @ V)).sum() + c.sum())
    for start in range(0, X.nnz, 1 << 19):
        part = slice(start, start + (1 << 19))
        y = np.einsum("pc,pc->p", U[X.row[part]], V[X.col[part]])
        loss += float(((c[part] - 1) * y**2 - 2 * c[part] * y).sum())
    return loss / float((c - 1).sum() + n * d)


def median_loss(problem: Problem, factors: np.ndarray) -> float:
    """Median over the problems of ‖X − W H‖² / ‖X‖², in float64, for [problems, n + d, m]."""
    X = problem["X"].astype(np.float64)
    W, F = factors[:, : len(X)].astype(np.float64), factors[:, len(X) :].astype(np.float64)
    return float(np.median(((X - W @ F.transpose(0, 2, 1)) ** 2).sum(axis=(1, 2))) / (X**2).sum())


def kullback_loss(problem: Problem, factors: np.ndarray) -> float:
    """Mean over the rows of the generalized Kullback-Leibler divergence, in float64. NaN as above."""
    X = problem["X"].tocoo()
    W, F = factors[: X.shape[0]], factors[X.shape[0] :]
    if factors.min() < 0:
        return float("nan")
    loss = float(W.sum(axis=0, dtype=np.float64) @ F.sum(axis=0, dtype=np.float64))
    for start in range(0, X.nnz, 1 << 19):
        part = slice(start, start + (1 << 19))
        x = X.data[part].astype(np.float64)
        y = np.einsum("pc,pc->p", W[X.row[part]], F[X.col[part]], dtype=np.float64)
        loss += float((x * np.log(x / np.maximum(y, 1e-12)) - x).sum())
    return loss / X.shape[0]


def potential(problem: Problem, indices: np.ndarray) -> float:
    """Sum over the rows of the squared distance to the nearest row that was drawn."""
    import latom  # not in the process of every peer

    X, euclidean = problem["X"], str(problem["metric"]) == "euclidean"
    rows = X[np.asarray(indices, np.int64)]
    scores = latom.assign(X, rows, metric=str(problem["metric"]))[1]
    return float(-scores.sum() if euclidean else (2 - 2 * scores).sum())


def pair_ranking(problem: Problem, factors: np.ndarray) -> float:
    """The chance that what a user chose and was held out ranks above an item by chance: an AUC, ties half."""
    held_out = problem["held_out"].tocoo()
    items = factors[held_out.shape[0] :].astype(np.float64)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(held_out.nnz)[: 10 * SCORED_ROWS]
    users, right = factors[held_out.row[chosen]].astype(np.float64), items[held_out.col[chosen]]
    margin = np.zeros(len(chosen))
    for _ in range(20):
        other = rng.integers(0, len(items), len(chosen))
        margin += 1 + np.sign(np.einsum("ij,ij->i", users, right - items[other]))
    return float(margin.mean() / 40)


def agreement(problem: Problem, labels: np.ndarray) -> float:
    """Share of the rows whose label is a nearest center, but for the rounding of float64."""
    squares = squared_distances(problem["X"], problem["centers"])
    own = squares[np.arange(len(squares)), np.asarray(labels, np.int64)]
    return float((own <= squares.min(axis=1) + 1e-12 * squares.max(axis=1)).mean())


def distance_error(problem: Problem, distances: np.ndarray) -> float:
    """Largest |distance − float64 distance| / float64 distance of a row to a center."""
    exact = np.sqrt(squared_distances(problem["X"], problem["centers"]))
    return float((np.abs(distances - exact) / np.maximum(exact, 1e-12)).max())


def pooled_cosine(problem: Problem, labels: np.ndarray) -> float:
    """Mean cosine of tokens with the direction of their cluster."""
    X, m = problem["X"], int(problem["m"])
    total = 0.0
    for rows, own in zip(X, labels.reshape(X.shape[:2]), strict=True):
        sums = np.zeros((m, X.shape[2]))
        np.add.at(sums, own, rows)
        total += float(np.linalg.norm(sums, axis=1).sum())
    return total / (X.shape[0] * X.shape[1])


def covering_cosine(problem: Problem, centers: np.ndarray) -> float:
    """Mean cosine of rows with the nearest of unit centers."""
    X = problem["X"]
    best = [(X[first : first + 4096] @ centers.T).max(axis=1) for first in range(0, len(X), 4096)]
    return float(np.concatenate(best).mean())


def error_of_shares(problem: Problem, found: np.ndarray) -> float:
    """Mean over domains of half the sum of |p^(class | domain) - p(class | domain)|, classes matched."""
    apart = np.abs(found[:, :, None] - problem["shares"][:, None, :]).sum(axis=0)
    return float(apart[linear_sum_assignment(apart)].sum() / (2 * len(found)))


def silhouette_error(problem: Problem, samples: np.ndarray) -> float:
    """Largest difference to float64 silhouettes, of some rows."""
    X, labels = problem["X"].astype(np.float64), problem["labels"]
    rows = np.random.default_rng(0).permutation(len(X))[:40]
    m = int(labels.max()) + 1
    worst = 0.0
    for i in rows:
        sums = np.bincount(labels, np.linalg.norm(X - X[i], axis=1), m)
        counts = np.bincount(labels, minlength=m)
        own = labels[i]
        a = sums[own] / max(counts[own] - 1, 1)
        means = np.divide(sums, counts, out=np.full(m, np.inf), where=counts > 0)
        means[own] = np.inf
        b = means.min()
        want = (b - a) / max(a, b) if counts[own] > 1 else 0.0
        worst = max(worst, abs(want - float(samples[i])))
    return worst


def squared_distances(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Squared distances [n, m] in float64, of differences: no digits cancel."""
    squares = np.empty((len(X), len(centers)))
    for j, center in enumerate(centers.astype(np.float64)):
        difference = X - center
        squares[:, j] = np.einsum("ij,ij->i", difference, difference)
    return squares
