"""Names of a package that are imported when they are first touched."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazily(
    package: dict[str, Any], modules: Mapping[str, str], submodules: tuple[str, ...] = ()
) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package with these globals: each name comes from its module, once.

    No module may bear the name of what comes from it: once imported, it would stand in the place of that.
    """

    def get(name: str) -> Any:
        if name in submodules:
            return _submodule(f"{package['__name__']}.{name}")
        if name not in modules:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        package[name] = value = getattr(importlib.import_module(modules[name]), name)
        return value

    return get


def _submodule(name: str) -> Any:
    """A module of the package; where one that it needs is missing, an AttributeError, as hasattr expects.

    ``import`` and ``from ... import`` try once more by themselves, and so still say that import error.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", name.partition(".")[0]):
            raise
        raise AttributeError(
            f"{name}: {missing} must be installed; got no such module. pip install {missing}."
        ) from error
