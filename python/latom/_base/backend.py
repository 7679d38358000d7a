"""Where the core computes: the one place that imports a compiled extension.

Everything else asks :func:`backend`, so that another device is another extension and nothing more.
"""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Any, NoReturn

from latom import _core
from latom._base.checks import check_threads, shown


def backend(device: str | None = None, function: str = "latom") -> ModuleType:
    """The extension for the CPU; refuses another device, for what runs nowhere else.

    Parameters
    ----------
    device : {None, "cpu"}
    function : str
        The name that messages give.
    """
    check_device(function, device, gpu=False)
    return _core


def check_device(function: str, device: Any, gpu: bool) -> None:
    """Refuses what is no device, and a GPU that this build does not have, or not for this function."""
    if device in (None, "cpu"):
        return
    if not is_cuda(device):
        refuse_device(function, device)
    if cuda_module() is None:
        refuse_build(function, device)
    if not gpu:
        raise ValueError(
            f"{function}: device must be None or 'cpu'; got {shown(device)}. README's table says what runs "
            "on a GPU: leave device out."
        )


def is_cuda(device: Any) -> bool:
    """Whether a device is named "cuda" or "cuda:<number>"."""
    return re.fullmatch(r"cuda(:\d+)?", str(device)) is not None


def refuse_device(function: str, device: Any) -> NoReturn:
    """The ValueError for what is no device."""
    raise ValueError(
        f"{function}: device must be None, 'cpu' or 'cuda'; got {shown(device)}. Leave it out to compute "
        "where the input lives."
    )


def refuse_build(function: str, device: Any) -> NoReturn:
    """The ValueError for a GPU that this build cannot use."""
    raise ValueError(
        f"{function}: device must be None or 'cpu' in this build; got {shown(device)}. This latom was "
        "built without CUDA: build it from source with -C cmake.define.LATOM_CUDA=ON."
    )


def cuda_module() -> ModuleType | None:
    """The extension for NVIDIA GPUs, or None where it was not built. It is imported when first asked for."""
    try:
        return importlib.import_module("latom._cuda")
    except ImportError:
        return None


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
