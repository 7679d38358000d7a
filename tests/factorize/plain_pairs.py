"""Gradient steps on pairs, as csrc/include/latom/pointwise.h states them: plain Python, float64."""

from __future__ import annotations

import itertools

import core
import numpy as np

EPOCH, ITEMS, PAIR, UNLABELLED = 8, 9, 10, 11  # Purpose in csrc/core/philox.h
AHEAD, TRIES = 16, 64


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def positive(loss, p, gamma):
    """d/ds and d/dg, the table of the authors' code."""
    return {
        "bpo": (1 - p, 0),
        "nbpo": ((1 - gamma) * (1 - p), -gamma * p),
        "nbpo_s": ((1 - gamma) * p * (1 - p), -gamma * (1 - gamma) * p),
        "nbpo_o": (1 - p, -gamma),
    }[loss]


def negative(loss, p, gamma):
    D = 1 - p + gamma * p
    return {
        "bpo": (-p, 0),
        "nbpo": (gamma * (1 - p) - p, (1 - gamma) * p),
        "nbpo_s": (-(1 - gamma) * p * (1 - p), gamma * (1 - gamma) * p),
        "nbpo_o": (-(1 - gamma) * p * (1 - p) / D, gamma * (1 - gamma) * p / D),
    }[loss]


def words(seed, purpose, sample):
    counter = sample << 20
    while True:
        yield from core.kernels.philox(seed, purpose, counter)
        counter += 1


def scaled(word, count):
    return int(word) * int(count) >> 32


class Schedule:
    """Runs of rows, sets of columns, and the pairs of each of them."""

    def __init__(self, X, seed):
        n, m = X.shape
        self.parts = max(1, min(n, m // 64, int(np.sqrt(X.nnz / 512)), 64))
        columns = list(range(m))
        for j in range(m):
            other = j + scaled(core.kernels.philox(seed, ITEMS, j)[0], m - j)
            columns[j], columns[other] = columns[other], columns[j]
        cut = [m * s // self.parts for s in range(self.parts + 1)]
        self.sets = [columns[a:b] for a, b in itertools.pairwise(cut)]
        before = X.indptr[:-1].astype(int) + np.arange(n)
        total = X.nnz + n
        starts = [int(np.searchsorted(before, total * t // self.parts)) for t in range(self.parts)] + [n]
        self.runs = [range(a, b) for a, b in itertools.pairwise(starts)]
        self.first, self.pairs = {}, {}
        place = 0
        for t, run in enumerate(self.runs):
            for s, chosen in enumerate(self.sets):
                at = [
                    (i, int(X.indices[p]), float(X.data[p]))
                    for i in run
                    for p in range(X.indptr[i], X.indptr[i + 1])
                    if X.indices[p] in set(chosen)
                ]
                self.first[t, s], self.pairs[t, s] = place, at
                place += len(at)

    def tasks(self):
        for r in range(self.parts):
            for t in range(self.parts):
                yield t, (t + r) % self.parts


def seed_of(seed, epoch):
    w = core.kernels.philox(seed, EPOCH, epoch)
    return w[1] << 32 | w[0]


def epoch(
    X, seed, number, loss, negatives, U, V, rate, decay, A=None, B=None, noise_decay=0.0, ones=-1, fixed=False
):
    """Factors after an epoch; changed in place."""
    seed = seed_of(seed, number)
    plan = Schedule(X, seed)
    has = [set(X.indices[X.indptr[i] : X.indptr[i + 1]].tolist()) for i in range(X.shape[0])]
    for t, s in plan.tasks():
        pairs, first, columns = plan.pairs[t, s], plan.first[t, s], plan.sets[s]
        for at in range(len(pairs)):
            draw = words(seed, PAIR, first + at)
            other = at + scaled(next(draw), len(pairs) - at)
            pairs[at], pairs[other] = pairs[other], pairs[at]
            i, j, _ = pairs[at]
            items = [j]
            for _ in range(negatives):
                for _ in range(TRIES):
                    column = columns[scaled(next(draw), len(columns))]
                    if column not in has[i]:
                        items.append(column)
                        break
            if len(items) > 1:
                step(loss, i, items, U, V, rate, decay, A, B, noise_decay, ones, fixed)


def step(loss, i, items, U, V, rate, decay, A, B, noise_decay, ones=-1, fixed=False):
    s = np.array([U[i] @ V[j] for j in items])
    if loss == "bpr":
        z = sigmoid(-(s[0] - s[1:]))
        ds, dg = np.concatenate([[z.sum()], -z]), np.zeros(len(items))
    else:
        gamma = sigmoid(np.array([A[i] @ B[j] for j in items])) if A is not None else np.zeros(len(items))
        p, many = sigmoid(s), len(items) - 1
        pulls = [np.multiply(positive(loss, p[0], gamma[0]), many)]
        pulls += [negative(loss, p[c], gamma[c]) for c in range(1, len(items))]
        ds, dg = np.transpose(pulls)
    pull(i, items, rate * ds, 1 - rate * decay, U, V, ones, fixed)
    if A is not None:
        pull(i, items, rate * dg, 1 - rate * noise_decay, A, B, -1, fixed)


def pull(i, items, amounts, keep, U, V, ones=-1, fixed=False):
    """Rows keep 1 in the column `ones`; fixed columns stay."""
    total = np.zeros_like(U[i])
    for j, amount in zip(items, amounts, strict=True):
        total += amount * V[j]
        if not fixed:
            V[j] = keep * V[j] + amount * U[i]
    U[i] = keep * U[i] + total
    if ones >= 0:
        U[i, ones] = 1


def relevance_epoch(X, seed, number, w, negatives, U, V, rate, decay):
    """Rel-MF: positives of weight X.data, and pairs without one, of all rows and columns alike."""
    seed = seed_of(seed, number)
    plan = Schedule(X, seed)
    n, m = X.shape
    has = [set(X.indices[X.indptr[i] : X.indptr[i + 1]].tolist()) for i in range(n)]
    times = (n * m - X.nnz) / (X.nnz * negatives)

    def move(i, j, a, factor):
        p = sigmoid(U[i] @ V[j])
        amount = rate * factor * 2 * p * (1 - p) * (a * (1 - p) - w * (1 - a) * p)
        pull(i, [j], [amount], 1 - rate * decay, U, V)

    for t, s in plan.tasks():
        pairs, first, columns, run = plan.pairs[t, s], plan.first[t, s], plan.sets[s], plan.runs[t]
        count = int(X.nnz * negatives * (len(run) / n * len(columns) / m))
        done = 0
        for start in range(0, max(len(pairs), 1), AHEAD):
            stop = min(start + AHEAD, len(pairs))
            for at in range(start, stop):
                other = at + scaled(next(words(seed, PAIR, first + at)), len(pairs) - at)
                pairs[at], pairs[other] = pairs[other], pairs[at]
            for at in range(start, stop):
                move(*pairs[at], 1)
            until = count * stop // len(pairs) if pairs else count
            for number in range(done, until):
                draw = words(seed, UNLABELLED, ((t * plan.parts + s) << 40) + number)
                for _ in range(TRIES):
                    i = run[scaled(next(draw), len(run))]
                    j = columns[scaled(next(draw), len(columns))]
                    if j not in has[i]:
                        move(i, j, 0, times)
                        break
            done = max(done, until)
