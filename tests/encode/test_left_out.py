"""AtomIndex.topk_without: the k best of the atoms that a row does not leave out, bit by bit."""

from __future__ import annotations

import core
import numpy as np
import pytest
from oracle import topk_model


def screens():
    return ["auto", *core.kernels.tile_shape()[2]]


def pattern(rows):
    """(indptr, indices) of lists of atoms."""
    indptr = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    flat = np.concatenate([np.sort(np.asarray(row, np.int32)) for row in rows])
    return indptr, np.ascontiguousarray(flat, np.int32)


def check(X, atoms, k, rows, metric="dot", screen="auto", threads=2, packed=False, bias=None, note=""):
    index = core.AtomIndex(atoms, bias, metric, screen, threads)
    if packed:
        index.pack(threads)
    values, found = index.topk_without(X, "", k, *pattern(rows), threads)
    m = len(atoms)
    every, order = topk_model(X, atoms, m, bias, metric)
    note = f"{note} {X.shape} {atoms.shape} {k=} {metric} {screen} {threads=} {packed=}"
    for i, row in enumerate(rows):
        left = ~np.isin(order[i], row)
        count = min(k, int(left.sum()))
        assert found[i, :count].tolist() == order[i][left][:count].tolist(), (note, i)
        assert values[i, :count].tobytes() == every[i][left][:count].tobytes(), (note, i)
        assert (found[i, count:] == -1).all(), (note, i)
        assert np.isneginf(values[i, count:]).all(), (note, i)


def lists(X, atoms, rng):
    """Rows that leave out nothing, some, the best, all but a few, and all atoms."""
    m = len(atoms)
    order = np.argsort(-(X.astype(float) @ atoms.astype(float).T), axis=1)
    counts = [0, 1, 3, m // 3, m // 2, max(m - 3, 0), max(m - 1, 0), m]
    return [
        order[i, : counts[i % 8]] if i % 3 else rng.permutation(m)[: counts[(i // 3) % 8]]
        for i in range(len(X))
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_shape(isa, dtype, rng):
    turn = 0
    for m in (1, 2, 33, 100, 700):
        for d in (1, 7, 33, 100):
            atoms = rng.standard_normal((m, d)).astype(dtype)
            for n in (1, 7, 65, 200):
                turn += 1
                X = rng.standard_normal((n, d)).astype(dtype)
                metric = ("dot", "cosine", "euclidean")[turn % 3]
                bias = rng.standard_normal(m) if metric == "dot" and turn % 2 else None
                screen = screens()[turn % len(screens())]
                k = sorted({min(k, m) for k in (1, 2, 5, m // 5 + 1, m)})[turn % 3 % min(m, 3)]
                check(
                    X,
                    atoms,
                    k,
                    lists(X, atoms, rng),
                    metric,
                    screen,
                    (1, 2, 5)[turn % 3],
                    turn % 2 == 0,
                    bias,
                )


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_rows_that_leave_out_what_is_best(isa, threads, rng):
    """Hundreds of the best go, in popular order as factors of items have it; every screen."""
    atoms = (rng.standard_normal((3000, 24)) + 1) * (1 + 30 / np.arange(1, 3001))[:, None]
    X, atoms = (np.abs(rng.standard_normal((300, 24))) + 0.1).astype("f4"), atoms.astype("f4")
    order = np.argsort(-(X.astype(float) @ atoms.astype(float).T), axis=1)
    rows = [order[i, : (i * 7) % 900] for i in range(300)]
    for screen in screens():
        check(X, atoms, 20, rows, screen=screen, threads=threads)


def test_equal_scores_go_to_the_lowest_atom_that_is_left(isa, rng):
    atoms = np.ones((2500, 30), np.float32)
    X = np.ones((150, 30), np.float32)
    rows = [np.arange(i) for i in range(150)]
    for screen in screens():
        check(X, atoms, 3, rows, screen=screen)


def test_a_row_of_zeros(isa, rng):
    atoms, X = rng.standard_normal((2500, 30)).astype("f4"), np.zeros((140, 30), np.float32)
    check(X, atoms, 4, [np.arange(7)] * 140)
    check(X, atoms, 4, [np.arange(7)] * 140, metric="cosine")
