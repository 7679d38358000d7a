"""Leverage scores: how much a row adds to the directions that a matrix is mostly made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix


def leverage(A: Matrix, count: int) -> NDArray[np.float64]:
    """Chances of the rows of A: squared lengths in its `count` leading left singular vectors.

    With a little for all, so that any number of rows can be drawn. The vectors are those of a randomized
    SVD with a seed of its own, so the chances are a function of A and count. (Drineas, Mahoney &
    Muthukrishnan, "Relative-error CUR matrix decompositions", 2008.)

    Parameters
    ----------
    A : array or CSR of shape (n, d)
    count : int

    Returns
    -------
    chances : float64 array of shape (n,)
        They sum to 1.
    """
    from sklearn.utils.extmath import randomized_svd

    U, values, _ = randomized_svd(A, min(count, *A.shape), random_state=0)
    U = U[:, values > 1e-10 * values[0]] if values[0] > 0 else U
    chances: NDArray[Any] = (U.astype(np.float64) ** 2).sum(axis=1) + 1e-9
    chances /= chances.sum()
    return chances
