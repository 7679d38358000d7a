"""Matching pursuit and ITDA as plain loops in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def pursue(
    x: Array,
    atoms: Array,
    steps: int,
    *,
    orthogonal: bool = False,
    positive: bool = False,
    repeat: bool = True,
    tol: float | None = None,
) -> Array:
    """Coefficients [m] of one row."""
    x, atoms = x.astype(np.float64), atoms.astype(np.float64)
    codes, taken, r = np.zeros(len(atoms)), [], x
    for _ in range(len(atoms) if tol is not None else steps):
        products = atoms @ r
        score = products if positive else np.abs(products)
        if not repeat:
            score = np.where(np.isin(np.arange(len(atoms)), taken), -np.inf, score)
        j = int(score.argmax())
        if score[j] < 1e-7 * np.linalg.norm(x) * np.linalg.norm(atoms[j]):
            break
        if orthogonal:
            if j in taken:
                break
            taken.append(j)
            codes[taken] = np.linalg.lstsq(atoms[taken].T, x, rcond=None)[0]
        else:
            taken.append(j)
            codes[j] += products[j] / (atoms[j] @ atoms[j])
        r = x - codes @ atoms
        if tol is not None and r @ r <= tol:
            break
    return codes


def all_rows(X: Array, atoms: Array, steps: int, **options: Any) -> Array:
    return np.array([pursue(x, atoms, steps, **options) for x in X])


def grow(X: Array, atoms: list[Array], steps: int, tol: float, orthogonal: bool = False) -> list[int]:
    """Rows that become atoms, one row after the other; atoms grows."""
    taken = []
    for i, row in enumerate(X.astype(np.float64)):
        unit = row / np.linalg.norm(row)
        left = unit
        if atoms:
            table = np.array(atoms, np.float64)
            left = unit - pursue(unit, table, steps, orthogonal=orthogonal) @ table
        if left @ left > tol:
            atoms.append(unit.astype(X.dtype).astype(np.float64))
            taken.append(i)
    return taken
