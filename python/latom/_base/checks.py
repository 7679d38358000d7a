"""Checks of arguments: numbers in range, names among those offered."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any


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


def check_choice(function: str, argument: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse what is not one of the names."""
    if not isinstance(value, str) or value not in choices:
        names = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"
        raise ValueError(f"{function}: {argument} must be {names}; got {value!r}. Pass one of them.")


def check_metric(function: str, metric: str) -> None:
    """Refuse what is not the name of a metric."""
    check_choice(function, "metric", metric, ("cosine", "euclidean"))
