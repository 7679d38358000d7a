"""The name that Python gives ``__init__`` in its message about a wrong argument."""

from __future__ import annotations

from types import FunctionType
from typing import Any


class NamedInit:
    """A base whose subclasses in latom have an ``__init__`` of their own name, also where they inherit it.

    Python's message about a wrong argument names the function; it would name a class that no user knows.
    Classes of users inherit as Python has it: a copy would go before the ``__init__`` of a class beside them.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        inherited = cls.__init__
        ours = cls.__module__.split(".")[0] == "latom"
        if not ours or "__init__" in vars(cls) or not isinstance(inherited, FunctionType):
            return
        own = FunctionType(
            inherited.__code__,
            inherited.__globals__,
            inherited.__name__,
            inherited.__defaults__,
            inherited.__closure__,
        )
        own.__kwdefaults__ = inherited.__kwdefaults__
        own.__annotations__, own.__doc__ = inherited.__annotations__, inherited.__doc__
        own.__module__, own.__qualname__ = inherited.__module__, f"{cls.__qualname__}.__init__"
        cls.__init__ = own  # type: ignore[method-assign]
