"""The one rule of NaN and infinity: what comes in is refused by its place, results by their type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_finite(
    function: str,
    name: str,
    numbers: NDArray[Any],
    remedy: str,
    *,
    negative: bool = True,
    must: str = "",
    place: str = "",
) -> None:
    """Refuse what is not finite, and what is below 0 where negative numbers may not come.

    Parameters
    ----------
    function, name : str
        What the message names.
    numbers : array of any shape
    remedy : str
        What the message ends with.
    negative : bool, default True
        Whether numbers below 0 are right.
    must : str, optional
        What the message says that they must, in place of "be finite" and "be finite and not negative".
    place : str, optional
        What stands before the position of the first wrong number, in place of "at", or "in row" for matrices.
    """
    bad = ~np.isfinite(numbers)
    if not negative:
        bad |= numbers < 0
    if not bad.any():
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    must = must or ("be finite" if negative else "be finite and not negative")
    place = place or ("in row" if numbers.ndim == 2 else "at")
    where = first[0] if len(first) in (1, 2) else first
    raise ValueError(f"{function}: {name} must {must}; got {numbers[first]} {place} {where}. {remedy}")


def check_held(function: str, name: str, what: str, *results: NDArray[Any], remedy: str = "") -> None:
    """Refuse numbers so large, or so small, that what is computed of them leaves its float type.

    Parameters
    ----------
    function, name : str
        What the message names.
    what : str
        What the results are.
    *results : array
    remedy : str, optional
        What the message ends with, in place of an advice to scale.
    """
    for found in results:
        if not np.isfinite(found).all():
            most = f"{np.finfo(found.dtype).max:.2g}".replace("+", "")
            wider = ", or pass float64" if found.dtype == np.float32 else ""
            raise ValueError(
                f"{function}: {name} must have {what} that {found.dtype} holds; got one beyond {most}. "
                f"{remedy or f'Scale {name} to numbers of about 1{wider}.'}"
            )
