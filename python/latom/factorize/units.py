"""The sizes that numbers are computed in: powers of two, so that nothing is rounded on the way.

Starts, thresholds and floors of factorizations suit numbers of about 1, and squares and products of very
large or small ones cannot be held. Where X is far from 1, it is therefore factorized as X / unit, and the
factors are multiplied by what they lack.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

ORDINARY = 20  # binary orders of magnitude about 1 in which nothing is changed
MOST = 1000  # of a unit, so that its reciprocal is a number too


class Units(NamedTuple):
    """Of X, W and H, with X = W H; powers of two."""

    X: float = 1.0
    W: float = 1.0
    H: float = 1.0


def units_of(exponent: int, largest: float | None) -> Units:
    """Where X is divided by 2**exponent, and the largest number of H is given, or H is to be found."""
    of_H = exponent // 2 if largest is None else exponent_of(largest)
    of_H = int(np.clip(of_H, max(-MOST, exponent - MOST), min(MOST, exponent + MOST)))
    return Units(2.0**exponent, 2.0 ** (exponent - of_H), 2.0**of_H)


def exponent_of(size: float) -> int:
    """The even e for which size / 2**e is nearly 1; 0 for ordinary sizes."""
    if not size > 0 or not np.isfinite(size):
        return 0
    exponent = int(np.frexp(size)[1]) // 2 * 2
    return exponent if abs(exponent) > ORDINARY else 0


def rescaled(A: Any, exponent: int) -> Any:
    """A * 2**exponent, dense or sparse, in its dtype; A itself for 0."""
    if exponent == 0:
        return A
    if sp.issparse(A):
        A = A.copy()
        A.data = _flushed(np.ldexp(A.data, exponent))
        return A
    return _flushed(np.ldexp(A, exponent))


def times(A: NDArray[Any], unit: float) -> NDArray[Any]:
    """A * unit in the dtype of A; A itself for 1."""
    return A if unit == 1 else np.ldexp(A, int(np.log2(unit)))


def _flushed(values: NDArray[Any]) -> NDArray[Any]:
    """With 0 for what is nothing beside numbers of about 1, and whose squares would be 0."""
    values[np.abs(values) < 1e-100] = 0
    return values
