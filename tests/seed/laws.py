"""The laws that seeding draws by, stated in numpy float64, and what holds draws to them.

A law is a function of the rows chosen so far that returns the probability of each row to be next.
"""

from __future__ import annotations

import core
import numpy as np
from oracle import dense
from scipy import stats

from latom._base.arrays import to_core

FALSE_ALARM = 1e-6  # seeds are fixed, so a test that passes once passes always


def squared_distances(X, metric, Y=None):
    X, Y = dense(X), dense(X if Y is None else Y)
    if metric == "cosine":
        X, Y = (Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in (X, Y))
    D = ((X[:, None] - Y[None]) ** 2).sum(axis=2)
    return np.where(D < 1e-20, 0.0, D)


def d2_law(D, w, existing=None):
    """k-means++; existing [n]: squared distances to the nearest center that is there already."""

    def law(chosen):
        near = np.ones(len(w)) if existing is None else existing
        if chosen:
            near = D[:, list(chosen)].min(axis=1)
            near = near if existing is None else np.minimum(near, existing)
        return w * near / (w * near).sum()

    return law


def capped_law(D, w, bound, max_trials):
    """Rejection from bound(first) [n] that falls back on the weights after max_trials rejections in a row."""
    exact = d2_law(D, w)

    def law(chosen):
        if not chosen:
            return exact(chosen)
        near = D[:, list(chosen)].min(axis=1)
        acceptance = (w * near).sum() / (w * bound(chosen[0])).sum()
        fallback = (1 - acceptance) ** max_trials
        left = w.copy()
        left[list(chosen)] = 0
        return (1 - fallback) * exact(chosen) + fallback * left / left.sum()

    return law


def greedy_law(D, w, trials):
    """The best of several draws."""
    exact = d2_law(D, w)

    def law(chosen):
        p = exact(chosen)
        if not chosen:
            return p
        near = D[:, list(chosen)].min(axis=1)
        gain = (w[:, None] * np.maximum(near[:, None] - D, 0)).sum(axis=0)
        order = np.argsort(gain)
        below = np.cumsum(p[order])
        out = np.empty(len(w))
        out[order] = below**trials - np.append(0, below[:-1]) ** trials
        return out

    return law


def chain_law(D, w, length):
    """The last state of an AFK-MC^2 chain, given that it is no center."""

    def law(chosen):
        if not chosen:
            return w / w.sum()
        start = w * D[:, chosen[0]]
        q = start / start.sum() / 2 + w / w.sum() / 2
        p = w * D[:, list(chosen)].min(axis=1)
        state = q
        for _ in range(length - 1):
            with np.errstate(divide="ignore", invalid="ignore"):
                accept = np.minimum(1, p[None, :] * q[:, None] / (p[:, None] * q[None, :]))
            move = q[None, :] * np.where(p[:, None] > 0, accept, 1.0)
            state = state @ move + state * (1 - move.sum(axis=1))
        out = np.where(p > 0, state, 0)
        return out / out.sum()

    return law


def bounds(X, w, metric, bound):
    """B [n] as a function of the first center, as csrc/include/latom/seed.h names them."""
    rows, D = dense(X), squared_distances(X, metric)
    positive = (rows >= 0).all()
    if metric == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    norm2 = (rows**2).sum(axis=1)
    if bound == "first-center":
        return lambda first: D[:, first]
    if bound == "paper":
        spread = ((rows - w @ rows / w.sum()) ** 2).sum(axis=1)
        return lambda first: 2 * (spread + spread[first])
    if metric == "cosine":
        return lambda first: np.full(len(w), 2.0 if positive else 4.0)
    longest2 = norm2[w > 0].max()
    if positive:
        return lambda first: norm2 + longest2
    return lambda first: (np.sqrt(norm2) + np.sqrt(longest2)) ** 2


def joint(law, n, m):
    """Probabilities [n, ..., n] of all sequences of m rows."""
    out = np.zeros((n,) * m)

    def extend(chosen, p):
        after = p * law(chosen)
        if len(chosen) == m - 1:
            out[chosen] = after
            return
        for i in np.flatnonzero(after):
            extend((*chosen, int(i)), after[i])

    extend((), 1.0)
    return out


def draw(X, m, runs, *, w=None, metric="euclidean", seed=0, threads=1, **options):
    """Rows [runs, m] that the core draws, and the sums of its counts."""
    rows = to_core(X)
    out, counts = np.empty((runs, m), np.int64), dict.fromkeys(("trials", "folds", "uniform"), 0)
    for r in range(runs):
        found = core.kmeans_plusplus(rows, m, w, metric, seed + r, threads, "test", **options)
        out[r] = found["indices"]
        assert found["distinct"] == m
        for key in counts:
            counts[key] += found[key]
    return out, counts


def chi_square(cells, probability):
    """p-value of cells (numbers, or rows of indices) as draws by probability; 0 for an impossible one."""
    probability = np.asarray(probability, dtype=np.float64)
    cells = np.asarray(cells)
    if probability.ndim > 1:
        cells = np.ravel_multi_index(tuple(cells.T), probability.shape)
    p = probability.ravel()
    assert abs(p.sum() - 1) < 1e-9
    counts = np.bincount(cells, minlength=len(p))
    if counts[p == 0].any():
        return 0.0
    expected = len(cells) * p
    rare = (expected > 0) & (expected < 5)
    pooled, group = np.zeros(len(p), int), 0
    filled = 0.0
    for i in np.flatnonzero(rare)[np.argsort(expected[rare])]:  # the last group may stay below five
        pooled[i] = group
        filled += expected[i]
        if filled >= 5:
            group, filled = group + 1, 0.0
    common = np.flatnonzero(expected >= 5)
    pooled[common] = group + 1 + np.arange(len(common))
    some = expected > 0
    expected, observed = (np.bincount(pooled[some], of[some]) for of in (expected, counts))
    expected, observed = expected[expected > 0], observed[expected > 0]
    return stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue


def places(draws, D, w, key, rng, existing=None):
    """Uniform numbers [runs, m - 1] if each row follows the law given those before it; else not.

    The place of a draw is the probability of the rows with a lower key, and a random share of those with
    its own (Rosenblatt's transform). Keys: numbers [n] of the rows, their "distance", or their "share" of
    that to the first center.
    """
    out = np.empty((len(draws), draws.shape[1] - 1))
    step = 500  # runs whose numbers stay in cache
    for r in range(0, len(draws), step):
        some = draws[r : r + step]
        first = near = D[some[:, 0]]
        if existing is not None:
            first = near = np.minimum(near, existing)
        at = np.arange(len(some))
        for k in range(1, draws.shape[1]):
            p = near if w is None else near * w
            if not isinstance(key, str):
                value = np.broadcast_to(key, p.shape)
            elif key == "distance":
                value = near
            else:
                value = near / np.where(first > 0, first, 1)
            drawn = value[at, some[:, k]][:, None]
            below = np.einsum("ij,ij->i", p, value < drawn)
            equal = np.einsum("ij,ij->i", p, value == drawn)
            out[r : r + step, k - 1] = (below + rng.random(len(some)) * equal) / p.sum(axis=1)
            near = np.minimum(near, D[some[:, k]])
    return out


def uniformity(places, bins=50):
    """p-value of numbers that ought to be uniform on [0, 1]."""
    cells = np.minimum((np.ravel(places) * bins).astype(int), bins - 1)
    return chi_square(cells, np.full(bins, 1 / bins))


# As csrc/core/philox.h numbers the purposes of draws.
FIRST_CENTER, NEXT_CENTER, TRIAL = 1, 2, 3


def uniforms(seed, purpose, counter):
    a, b, c, d = core.kernels.philox(seed, purpose, counter)
    return (a << 32 | b) >> 11, (c << 32 | d) >> 11


def pick(mass, number):
    """The row whose share of the cumulated masses holds number * 2^-53."""
    return find(np.cumsum(mass), number)


def find(total, number):
    return int(np.searchsorted(total, number * 2.0**-53 * total[-1], side="right"))


def replay_exact(seed, D, w, m, trials=1):
    """k-means++ as the core draws it, greedy with several trials."""
    chosen = [pick(w, uniforms(seed, FIRST_CENTER, 0)[0])]
    drawn = 1
    while len(chosen) < m:
        near = D[:, chosen].min(axis=1)
        draws = [pick(w * near, uniforms(seed, NEXT_CENTER, drawn + k)[0]) for k in range(trials)]
        drawn += trials
        gain = [(w * np.maximum(near - D[:, c], 0)).sum() for c in draws]
        chosen.append(draws[int(np.argmax(gain))])
    return chosen, drawn


def replay_rejection(seed, D, w, m, bound):
    """Rejection from bound(first) as the core draws it."""
    chosen = [pick(w, uniforms(seed, FIRST_CENTER, 0)[0])]
    B = bound(chosen[0])
    near, trial, total = D[:, chosen[0]], 0, np.cumsum(w * B)
    while len(chosen) < m:
        where, r = uniforms(seed, TRIAL, trial)
        trial += 1
        i = find(total, where)
        if r * 2.0**-53 * B[i] < near[i]:
            chosen.append(i)
            near = np.minimum(near, D[:, i])
    return chosen, trial + 1


def lists_drawn(seed, D, w, rows):
    """Whether each row is of the list, by nearest center, that the number of its draw falls on."""
    near, label = D[:, rows[0]].copy(), np.zeros(len(w), int)
    for k in range(1, len(rows)):
        mass = np.bincount(label, w * near, minlength=k)
        if label[rows[k]] != pick(mass, uniforms(seed, NEXT_CENTER, k)[0]):
            return False
        closer = D[:, rows[k]] < near
        near[closer], label[closer] = D[closer, rows[k]], k
    return True


def replay_folds(seed, D, w, bound, rows, folds, trials):
    """Whether rejection from bound(first) draws these rows with so many folds before some of its trials."""

    def proposals(size):  # once the first `size` centers are folded in; 0: none
        B = D[:, rows[:size]].min(axis=1) if size else bound(rows[0])
        return B, np.cumsum(w * B)

    near = [D[:, rows[: k + 1]].min(axis=1) for k in range(len(rows))]
    known = {0: proposals(0)}
    ways = {(1, 0, 0)}  # centers, those folded in, folds
    for trial in range(trials - 1):
        where, r = uniforms(seed, TRIAL, trial)
        ways |= {(k, k, f + 1) for k, size, f in ways if k > size and f < folds}
        after = set()
        for k, size, f in ways:
            if k == len(rows):
                continue
            if size not in known:
                known[size] = proposals(size)
            B, total = known[size]
            i = find(total, where)
            if not r * 2.0**-53 * B[i] < near[k - 1][i]:
                after.add((k, size, f))
            elif i == rows[k]:
                after.add((k + 1, size, f))
        ways = after
    return any(k == len(rows) and f == folds for k, _, f in ways)
