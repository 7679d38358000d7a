"""best_two: the best atom of short rows and the two highest scores, against float64, in every variant."""

from __future__ import annotations

import core
import numpy as np
import pytest


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7, 8, 16, 33])
def test_follows_float64(isa: str, d: int, rng: np.random.Generator) -> None:
    for m in (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 40):
        x = rng.standard_normal((core.kernels.best_rows(), d)).astype(np.float32)
        atoms = rng.standard_normal((m, d)).astype(np.float32)
        bias = rng.standard_normal(m).astype(np.float32)
        label, best, second = core.kernels.best_two(x, atoms, bias)
        scores = x.astype(np.float64) @ atoms.T.astype(np.float64) + bias
        bound = 2.0**-24 * (d + 2) * (np.abs(x) @ np.abs(atoms).T + np.abs(bias)).max(axis=1)
        rows = np.arange(len(x))
        assert (np.abs(scores[rows, label] - best) <= bound).all()
        assert (scores.max(axis=1) - best <= bound).all()
        if m == 1:
            assert (second == -np.inf).all()
        else:
            runner_up = np.partition(scores, -2, axis=1)[:, -2]
            assert (np.abs(runner_up - second) <= bound).all()


def test_of_equal_atoms_the_lowest_is_the_label(isa: str) -> None:
    x = np.ones((core.kernels.best_rows(), 3), np.float32)
    atoms = np.ones((20, 3), np.float32)
    atoms[:6] = 0.5
    label, best, second = core.kernels.best_two(x, atoms, np.zeros(20, np.float32))
    assert (label == 6).all()
    assert (best == 3).all()
    assert (second == 3).all()


def test_every_place_may_be_the_best(isa: str) -> None:
    rows, m = core.kernels.best_rows(), 24
    x = np.eye(rows, dtype=np.float32)
    for shift in range(m):
        atoms = np.zeros((m, rows), np.float32)
        atoms[(np.arange(rows) + shift) % m, np.arange(rows)] = 1
        label, best, second = core.kernels.best_two(x, atoms, np.zeros(m, np.float32))
        assert (label == (np.arange(rows) + shift) % m).all()
        assert (best == 1).all()
        assert (second == 0).all()


def test_wrong_arguments_are_refused() -> None:
    rows = core.kernels.best_rows()
    x, atoms, bias = np.ones((rows, 3), np.float32), np.ones((5, 3), np.float32), np.ones(5, np.float32)
    for bad in ((x[:-1], atoms, bias), (x, atoms[:, :2].copy(), bias), (x, atoms, bias[:4])):
        with pytest.raises(ValueError, match="must be"):
            core.kernels.best_two(*bad)
