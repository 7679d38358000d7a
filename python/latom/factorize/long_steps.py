"""What a fit or transform says of steps outside of its iterations."""

from __future__ import annotations

import time

PATIENCE = 1.0  # seconds between lines, and before the first


class LongSteps:
    """With verbose, a line for steps that take long: at most one per second.

    Parameters
    ----------
    name : str
        What lines start with.
    verbose : int
    """

    def __init__(self, name: str, verbose: int) -> None:
        self._name, self._verbose = name, verbose
        self._last = time.perf_counter()

    def __call__(self, step: str) -> None:
        """Say that this step begins."""
        now = time.perf_counter()
        if self._verbose and now - self._last >= PATIENCE:
            self._last = now
            print(f"{self._name}: {step}")
