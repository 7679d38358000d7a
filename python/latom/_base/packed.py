"""What has been made of an object's parameters or results to compute with them again, as packed atoms are.

It lies beside the object and not in it: what is pickled, copied or compared of it does not change.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_KEPT: WeakKeyDictionary[Any, tuple[tuple[Any, ...], Any]] = WeakKeyDictionary()


def packed(
    owner: Any, parts: tuple[Any, ...], make: Callable[[], Any], holds: Callable[[Any], bool] | None = None
) -> Any:
    """What make() has given for these parts of the owner, made again where one is another object.

    Threads that ask at once get the same.

    Parameters
    ----------
    owner : object
        What keeps it: the last thing that was made, as long as the owner lives.
    parts : tuple
        The objects that it is made of.
    make : callable
    holds : callable, optional
        Whether what was made is still right, where someone may write into the parts.
    """
    kept = _kept(owner, parts)
    if kept is not None and (holds is None or holds(kept)):
        return kept
    made = make()
    now = _kept(owner, parts)
    if now is not None and now is not kept:
        return now  # of a thread that was faster: all take the same, which is packed once
    _KEPT[owner] = (parts, made)
    return made


def _kept(owner: Any, parts: tuple[Any, ...]) -> Any:
    """What was made of these parts, where they are the last; else None."""
    of, made = _KEPT.get(owner, ((), None))
    return made if len(of) == len(parts) and all(map(operator.is_, of, parts)) else None
