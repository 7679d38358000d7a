"""Leading singular vectors of whatever multiplies: what TruncatedSVD finds, and factorizations start from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend
from latom.factorize.long_steps import LongSteps
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.row_blocks import RowBlocks

Array = NDArray[Any]
OVERSAMPLES = 10  # columns beside those asked for


def singular_vectors(
    products: NonNegativeRows | RowBlocks,
    k: int,
    rng: np.random.RandomState,
    say: LongSteps | None = None,
) -> tuple[Array, NDArray[np.float64], Array]:
    """U [n, k], S [k], V [d, k] of the leading singular triplets, by a randomized range finder in the core.

    Halko, Martinsson & Tropp, "Finding structure with randomness", 2011. Products of CSR are the core's,
    those of dense rows numpy's. Four power iterations (seven for few components), from the random matrix that
    scikit-learn's starts of NMF take.
    """
    n, d = products.shape
    iterations = 7 if k < 0.1 * min(n, d) else 4
    start = rng.standard_normal((d, min(k + OVERSAMPLES, n, d))).astype(products.dtype)

    def tell(done: int) -> None:
        if say is not None:
            say(f"power iteration {done + 1} of {iterations} for the singular vectors to start from")

    core = products.core if isinstance(products, NonNegativeRows) and products.sparse else None
    found: tuple[Array, NDArray[np.float64], Array]
    if core is not None:
        found = backend().randomized_svd(products.context, core, k, OVERSAMPLES, iterations, tell, start)
    else:
        wide = products.dtype == np.float64
        found = backend().randomized_svd_of(
            products.context, products, n, d, wide, k, OVERSAMPLES, iterations, tell, start
        )
    return found
