"""Where the core computes: the one place that imports a compiled extension.

Everything else asks :func:`backend`, so that another device is another extension and nothing more.
"""

from __future__ import annotations

from types import ModuleType

from latom import _core


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
            f"{function}: device must be None or 'cpu' in this build; got {device!r}. This latom was "
            "built without CUDA: build from source with -C cmake.define.LATOM_CUDA=ON once a release "
            "has GPU code."
        )
    raise ValueError(
        f"{function}: device must be None, 'cpu' or 'cuda'; got {device!r}. Leave it out to compute "
        "where the input lives."
    )
