"""threadpoolctl sees the threads that latom takes, and limits them.

It knows the pools of BLAS and OpenMP, and those of others that register a controller with it. As ``import
latom`` does not import it, latom registers where it is loaded already, and else when somebody imports it.
"""

from __future__ import annotations

import importlib
import operator
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from latom._base.backend import backend

_NAME = "threadpoolctl"


class _NoLimit(int):
    """What ``n_threads=None`` means while there is no limit. To set it means to lift the limit.

    threadpoolctl restores a limit by setting the number that it was told before. As a plain number this would
    be a limit afterwards, which holds for calls that ask for more threads.
    """


def _register(threadpoolctl: Any) -> None:
    if not hasattr(threadpoolctl, "register"):
        return  # before 3.2, which has no others than its own

    class LatomController(threadpoolctl.LibController):
        """The limit of a process for the calls of latom."""

        user_api = internal_api = "latom"
        filename_prefixes = ("_core.",)  # a common name: the symbols decide
        check_symbols = ("latom_get_num_threads", "latom_set_num_threads")

        def get_num_threads(self) -> int:
            """The limit; without one, what ``n_threads=None`` means."""
            limit: int = self.dynlib.latom_get_num_threads()
            return limit if limit > 0 else _NoLimit(backend().resolve_threads(0))

        def set_num_threads(self, num_threads: Any) -> None:
            """Set the limit, or lift it; numbers below 1 change nothing."""
            if isinstance(num_threads, _NoLimit):
                self.dynlib.latom_set_num_threads(0)
            elif operator.index(num_threads) > 0:
                self.dynlib.latom_set_num_threads(min(operator.index(num_threads), 2**31 - 1))

        def get_version(self) -> str:
            return str(backend().__version__)

    threadpoolctl.register(LatomController)


class _Loader:
    """Another loader, and then the registration."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        """Run the module as its own loader does, which it also keeps."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register(module)


class _Finder:
    """Finds threadpoolctl where Python would."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the import system asks for each module that is not loaded yet."""
        if name != _NAME:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


def register_controller() -> None:
    """Make latom known to threadpoolctl: now if it is loaded, else when it is."""
    if sys.modules.get(_NAME) is not None:
        _register(importlib.import_module(_NAME))  # waits where another thread is loading it
    else:
        sys.meta_path.insert(0, _Finder())
