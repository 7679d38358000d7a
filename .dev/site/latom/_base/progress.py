"""Progress of an iterative fit: a bar on a terminal, lines elsewhere, nothing when verbose is 0."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Progress:
    """Context manager that reports iteration states of one run."""

    def __init__(self, name: str, total: int, verbose: int) -> None:
        self.name, self._verbose = name, verbose
        self._bar: Any = None
        if verbose and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=name, unit="it", leave=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, state: Any) -> None:
        """Report one iteration."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"objective {state.objective:.6g}, {state.note}")
            self._bar.update()
        elif self._verbose:
            print(
                f"{self.name}: iteration {state.iteration}, objective {state.objective:.9g}, "
                f"{state.note}, {state.seconds:.3f} s"
            )
