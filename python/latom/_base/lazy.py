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
            return importlib.import_module(f"{package['__name__']}.{name}")
        if name not in modules:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        package[name] = value = getattr(importlib.import_module(modules[name]), name)
        return value

    return get
