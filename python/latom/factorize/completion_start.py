"""Where the completion of a matrix starts: leading components of what is observed, or chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.estimator import as_random_state
from latom._base.rows import Rows
from latom.factorize.observed import Side
from latom.factorize.singular_vectors import OVERSAMPLES

Array = NDArray[Any]
SVD_ROUNDS = 4


def first_factors(model: Any, name: str, context: Any, left: Side) -> tuple[Array, Array]:
    """Factors with a column of biases behind them, 0 at first."""
    rows, k = left.rows, model.n_components
    (n, d), rng = rows.shape, as_random_state(name, model.random_state)
    border = int(model.fit_bias)
    V = np.zeros((d, k + border), rows.dtype)
    U = np.zeros((n, k + border), rows.dtype)
    start = rng.standard_normal((d, k))
    off = rows.array.data - model.mean_
    spread = float(np.sqrt(np.mean(off**2, dtype=np.float64))) if rows.entries else 0.0
    size = np.sqrt(max(spread, 1e-30) / np.sqrt(k))
    if model.init == "svd" and k <= min(n, d) and spread > 0:
        A = Rows(name, sp.csr_array((off, rows.array.indices, rows.array.indptr), shape=(n, d)))
        leading = backend().randomized_svd(context, A.core, k, OVERSAMPLES, SVD_ROUNDS)[2]
        found = leading.any(axis=0)  # where X has a lower rank, the others start by chance
        start[:, found] = leading[:, found] * np.sqrt(d)
    V[:, :k] = start * size
    if model.nonnegative:
        V[:, :k] = np.abs(V[:, :k])
    return U, V
