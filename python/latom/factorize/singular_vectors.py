"""Leading singular vectors of whatever multiplies: what TruncatedSVD finds, and factorizations start from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend, call
from latom.factorize.long_steps import LongSteps
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.row_blocks import RowBlocks

Array = NDArray[Any]


def singular_vectors(
    products: NonNegativeRows | RowBlocks,
    k: int,
    seed: int,
    say: LongSteps | None = None,
    iterations: int | None = None,
    oversamples: int = 10,
) -> tuple[Array, NDArray[np.float64], Array]:
    """U [n, k], S [k], V [d, k] of the leading singular triplets, by a randomized range finder in the core.

    Halko, Martinsson & Tropp, "Finding structure with randomness", 2011. Products of CSR are the core's,
    those of dense rows numpy's. Without `iterations`, four power iterations (seven for few components).
    """
    (n, d), own = products.shape, products.context
    context = call(own.function, own.n_threads or None, seed)
    if iterations is None:
        iterations = 7 if k < 0.1 * min(n, d) else 4
    tell: Callable[[int], None] | None = None
    if say is not None:

        def tell(done: int) -> None:
            say(f"power iteration {done + 1} of {iterations} for the singular vectors to start from")

    core = products.core if isinstance(products, NonNegativeRows) and products.sparse else None
    found: tuple[Array, NDArray[np.float64], Array]
    if core is not None:
        found = backend().randomized_svd(context, core, k, oversamples, iterations, tell)
    else:
        wide = products.dtype == np.float64
        found = backend().randomized_svd_of(
            context, products, n, d, wide, k, oversamples, iterations, tell
        )
    return found
