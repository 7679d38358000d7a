"""Dense products by numpy, in parts between which Ctrl-C is heard."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PART = 10**10  # multiply-adds of a part: a fifth of a second or so

Array = NDArray[Any]


def product_in_parts(A: Array, B: Array, out: Array | None = None) -> Array:
    """A B, as numpy.matmul makes it: rows of A by parts where that is much work."""
    step = max(64, PART // max(1, B.size))
    if len(A) <= step:
        return np.matmul(A, B, out=out)
    if out is None:
        out = np.empty((len(A), B.shape[1]), np.result_type(A, B))
    for first in range(0, len(A), step):
        part = slice(first, first + step)
        np.matmul(A[part], B, out=out[part])
    return out
