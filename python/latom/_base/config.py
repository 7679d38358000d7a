"""What is running: version, kernel variant, threads, GPU."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from latom import _core

__version__: str = _core.__version__


def config() -> dict[str, Any]:
    """Version, kernel variant in use, variants that this processor can run, threads, CUDA.

    Returns
    -------
    dict
        Keys ``version``, ``isa``, ``available_isas``, ``n_threads`` (what ``n_threads=None`` means
        now) and ``cuda`` (False: this build has no GPU code).
    """
    return {
        "version": __version__,
        "isa": _core.isa(),
        "available_isas": _core.available_isas(),
        "n_threads": _core.resolve_threads(0),
        "cuda": False,
    }


def show_config() -> None:
    """Print what :func:`config` returns, a line each."""
    for key, value in config().items():
        print(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


def check_device(function: str, device: str | None) -> None:
    """Refuse a device that this build does not have."""
    if device in (None, "cpu"):
        return
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


def check_threads(function: str, n_threads: int | None) -> int:
    """n_threads for the core: 0 means the environment's and the machine's choice."""
    return 0 if n_threads is None else check_integer(function, "n_threads", n_threads, 4096)


def check_integer(function: str, argument: str, value: Any, high: int | None = None) -> int:
    """Value as an int of at least 1 and at most high."""
    if (
        isinstance(value, bool)
        or not isinstance(value, Integral)
        or not 1 <= int(value) <= (high or 2**31 - 1)
    ):
        what = f"an integer in [1, {high}]" if high else "a positive integer"
        raise ValueError(f"{function}: {argument} must be {what}; got {value!r}. Pass such a number.")
    return int(value)


def check_number(function: str, argument: str, value: Any) -> float:
    """Value as a positive, finite float."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < float("inf"):
        raise ValueError(
            f"{function}: {argument} must be a positive number; got {value!r}. Pass such a number."
        )
    return float(value)
