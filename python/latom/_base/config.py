"""What is running: version, kernel variant, threads, GPU."""

from __future__ import annotations

from typing import Any

from latom._base.backend import backend, cuda_module

__version__: str = backend().__version__


def config() -> dict[str, Any]:
    """Version, kernel variant in use, variants that this processor can run, threads, CUDA.

    Returns
    -------
    dict
        Keys ``version``, ``isa``, ``available_isas``, ``n_threads`` (what ``n_threads=None`` means
        now) and ``cuda`` (whether this build has GPU code).
    """
    return {
        "version": __version__,
        "isa": backend().isa(),
        "available_isas": backend().available_isas(),
        "n_threads": backend().resolve_threads(0),
        "cuda": cuda_module() is not None,
    }


def show_config() -> None:
    """Print what :func:`config` returns, a line each."""
    for key, value in config().items():
        print(f"{key}: {', '.join(value) if isinstance(value, list) else value}")
