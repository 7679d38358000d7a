"""What factorizations share: the record of an iteration."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FactorizationState:
    """One iteration of a factorization, as callbacks see it and ``history_`` keeps it.

    Attributes
    ----------
    iteration : int
        1 for the first.
    loss : float
        What is minimized, after the iteration.
    violation : float
        How far from optimal the codes were found: the sum of |gradient| over those that could still
        fall, as the first sweep of the iteration met them; NaN for multiplicative updates.
    seconds : float
        Time of the iteration.
    """

    iteration: int
    loss: float
    violation: float
    seconds: float

    def brief(self) -> str:
        """What a progress bar shows."""
        return f"loss={self.loss:.6g}"

    def line(self) -> str:
        """What a line of progress says."""
        return f"loss {self.loss:.9g}, violation {self.violation:.4g}"


_HISTORY = np.dtype(
    [(f.name, np.int64 if f.type == "int" else np.float64) for f in fields(FactorizationState)]
)


def as_history(states: list[FactorizationState]) -> NDArray[Any]:
    """A structured array with a record a state."""
    return np.array([astuple(state) for state in states], dtype=_HISTORY)
