"""Where the core computes: the one place that imports a compiled extension.

Everything else asks :func:`backend`, so that another device is another extension and nothing more.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from latom import _core
from latom._base.checks import check_threads, shown


def backend(device: str | None = None, function: str = "latom") -> ModuleType:
    """The extension that computes on a device; refuses one that this build does not have.

    Parameters
    ----------
    device : {None, "cpu"}
    function : str
        The name that messages give.
    """
    if device in (None, "cpu"):
        return _core
    if str(device).startswith("cuda"):
        raise ValueError(
            f"{function}: device must be None or 'cpu' in this build; got {shown(device)}. This latom was "
            "built without CUDA: build from source with -C cmake.define.LATOM_CUDA=ON once a release "
            "has GPU code."
        )
    raise ValueError(
        f"{function}: device must be None, 'cpu' or 'cuda'; got {shown(device)}. Leave it out to compute "
        "where the input lives."
    )


def call(function: str, n_threads: int | None = None, seed: int = 0) -> Any:
    """What every function of the core takes first: a name for messages, threads, and the seed of draws.

    Parameters
    ----------
    function : str
    n_threads : int, optional
        None: the environment's and the machine's choice.
    seed : int
        In [0, 2**64).
    """
    return _core.Context(function, check_threads(function, n_threads), seed)
