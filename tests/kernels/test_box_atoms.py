"""box_atoms: atoms that no row of a box has as its best are left out, in every variant; no other is."""

from __future__ import annotations

import core
import numpy as np
import pytest


def box(rng: np.random.Generator, m: int, d: int, size: float) -> tuple[np.ndarray, ...]:
    """Atoms with the biases of Euclidean scores, and the middle, half widths and radius of a box."""
    atoms = rng.standard_normal((m, d)).astype(np.float32)
    bias = (-0.5 * (atoms.astype(np.float64) ** 2).sum(axis=1)).astype(np.float32)
    middle = rng.standard_normal(d).astype(np.float32)
    half = (rng.random(d) * size).astype(np.float32)
    return atoms, bias, np.full(m, 1e-5, np.float32), middle, half, float(np.linalg.norm(half))


@pytest.mark.parametrize("d", [1, 2, 3, 8, 17])
@pytest.mark.parametrize("size", [0.0, 0.1, 0.5, 3.0])
def test_the_best_of_every_row_is_kept(isa: str, d: int, size: float, rng: np.random.Generator) -> None:
    for m in (1, 2, 5, 15, 16, 17, 33, 100):
        atoms, bias, _, middle, half, radius = given = box(rng, m, d, size)
        kept = core.kernels.box_atoms(*given)
        assert kept == sorted(set(kept))
        corners = np.where(rng.random((200, d)) < 0.5, -1, 1)
        rows = middle + half * np.vstack([corners, rng.uniform(-1, 1, (200, d)), np.zeros((1, d))])
        scores = rows @ atoms.T.astype(np.float64) + bias
        assert set(scores.argmax(axis=1)) <= set(kept)
        # The most that each atom may gain on the one that leads in the middle, by the ball and by the box.
        k = int(scores[-1].argmax())
        apart = atoms.astype(np.float64) - atoms[k]
        reach = np.minimum(radius * np.linalg.norm(apart, axis=1), np.abs(apart) @ half)
        lead = scores[-1, k] - scores[-1]
        # Both bounds are asked one after the other, each with the errors of two scores and its rounding.
        assert {j for j in range(m) if lead[j] > 1.001 * reach[j] + 7e-5} & set(kept) <= {k}
        assert {j for j in range(m) if lead[j] < 0.999 * reach[j] - 7e-5} <= set(kept)


def test_the_ball_and_the_box_each_leave_out(isa: str) -> None:
    atoms = np.zeros((40, 2), np.float32)
    atoms[1:, 0] = 1  # in the first column alone, where the box is thin
    bias = np.r_[0, np.full(39, -1)].astype(np.float32)
    error, middle = np.full(40, 1e-6, np.float32), np.zeros(2, np.float32)
    wide, thin = np.array([2, 2], np.float32), np.array([0.5, 2], np.float32)
    keep = core.kernels.box_atoms
    assert keep(atoms, bias, error, middle, wide, 3.0) == list(range(40))
    assert keep(atoms, bias, error, middle, thin, 3.0) == [0]
    assert keep(atoms, bias, error, middle, wide, 0.9) == [0]


def test_atoms_that_a_corner_or_the_ball_just_reaches_are_kept(isa: str) -> None:
    keep, none = core.kernels.box_atoms, np.zeros(40, np.float32)
    # Sums of the last round down.
    for reached in (
        [1.0],
        [3.0, 4.0],
        [2.0, 5.0, 1.0],
        [1.0, *[2.0**-25] * 16],
    ):
        d, total = len(reached), sum(reached)
        atoms = np.zeros((40, d), np.float32)
        atoms[1:] = reached
        atoms[1::2] *= -1
        bias, middle = np.r_[0, np.full(39, -total)].astype(np.float32), np.zeros(d, np.float32)
        assert keep(atoms, bias, none, middle, np.ones(d, np.float32), 1e3) == list(range(40))
        bias[1:] -= np.float32(0.01 * total)
        assert keep(atoms, bias, none, middle, np.ones(d, np.float32), 1e3) == [0]
    atoms = np.zeros((40, 2), np.float32)
    atoms[1:] = 3, 4
    wide, bias = np.full(2, 10, np.float32), np.r_[0, np.full(39, -10)].astype(np.float32)
    assert keep(atoms, bias, none, np.zeros(2, np.float32), wide, 2.0) == list(range(40))
    assert keep(atoms, bias, none, np.zeros(2, np.float32), wide, 1.98) == [0]


def test_errors_of_scores_keep_what_they_may_hide(isa: str) -> None:
    atoms = np.zeros((20, 1), np.float32)
    bias, none = np.zeros(20, np.float32), np.zeros(1, np.float32)
    bias[1:] = -1
    for error, kept in ((0.24, 1), (0.26, 20)):  # 2 errors on either side
        got = core.kernels.box_atoms(atoms, bias, np.full(20, error, np.float32), none, none, 0.0)
        assert len(got) == kept


def test_ties_and_what_is_no_number_are_kept(isa: str) -> None:
    m = 37
    atoms, none = np.ones((m, 3), np.float32), np.zeros(3, np.float32)
    error, bias = np.full(m, 1e-6, np.float32), np.zeros(m, np.float32)
    assert core.kernels.box_atoms(atoms, bias, error, none, none, 0.0) == list(range(m))
    bias[:] = -5
    bias[[4, 36]] = 0
    assert core.kernels.box_atoms(atoms, bias, error, none, none, 0.0) == [4, 36]
    bias[17] = np.nan
    assert 17 in core.kernels.box_atoms(atoms, bias, error, none, none, 0.0)


def test_wrong_arguments_are_refused(rng: np.random.Generator) -> None:
    atoms, bias, error, middle, half, radius = box(rng, 5, 3, 0.1)
    for bad in (
        (atoms[:, :2].copy(), bias, error, middle, half),
        (atoms, bias[:4], error, middle, half),
        (atoms, bias, error[:4], middle, half),
        (atoms, bias, error, middle, half[:2]),
        (atoms[:0], bias[:0], error[:0], middle, half),
    ):
        with pytest.raises(ValueError, match="box_atoms: atoms must be"):
            core.kernels.box_atoms(*bad, radius)
