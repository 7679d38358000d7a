"""Checks of arguments: numbers in range, names among those offered. Each message says what to do."""

from __future__ import annotations

from collections.abc import Sized
from difflib import get_close_matches
from math import isfinite
from numbers import Integral, Real
from typing import Any


def shown(value: Any) -> str:
    """What messages print of a value: its repr where that is short, else what kind of thing it is."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    try:
        text = repr(value)
    except Exception:  # of a class of the user's
        text = "\n"
    if len(text) <= 80 and "\n" not in text:
        return text
    size = f" of length {len(value)}" if isinstance(value, Sized) else ""
    return f"{type(value).__name__}{size}"


def check_threads(function: str, n_threads: int | None) -> int:
    """n_threads for the core: 0 means the environment's and the machine's choice."""
    if n_threads is None:
        return 0
    if isinstance(n_threads, Integral) and not isinstance(n_threads, bool) and int(n_threads) < 1:
        raise ValueError(
            f"{function}: n_threads must be an integer in [1, 4096] or None; got {shown(n_threads)}. "
            "Pass None for all that this process has."
        )
    return check_integer(function, "n_threads", n_threads, 4096)


def check_integer(function: str, argument: str, value: Any, high: int | None = None, low: int = 1) -> int:
    """Value as an int of at least low and at most high."""
    most = 2**31 - 1 if high is None else high
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not low <= int(value) <= most:
        what = "a positive integer" if low == 1 else f"an integer of at least {low}"
        if high is not None:
            what = f"an integer in [{low}, {high}]"
        if whole:
            remedy = f"Raise it to {low}." if int(value) < low else f"Lower it to {most}."
        elif isfinite(number_of(value)):
            remedy = f"Round it to {min(max(round(number_of(value)), low), most)}."
        else:
            remedy = f"Pass an int, such as {low}."
        raise ValueError(f"{function}: {argument} must be {what}; got {shown(value)}. {remedy}")
    return int(value)


def check_clusters(function: str, n_clusters: Any, n: int) -> int:
    """n_clusters as an int of at most n, the rows; the message has words that scikit-learn's users match."""
    m = check_integer(function, "n_clusters", n_clusters)
    if m > n:
        raise ValueError(
            f"{function}: n_clusters must be an integer in [1, {n}]; got {m}. "
            f"n_samples={n} should be >= n_clusters={m}: ask for fewer clusters."
        )
    return m


def check_candidates(function: str, candidates: Any, low: int, high: int, why: str) -> list[int]:
    """Integers in [low, high] that are tried one after the other, rising, each once; why: they must be."""
    try:
        given = list(candidates.tolist() if hasattr(candidates, "tolist") else candidates)
    except TypeError:
        given = []
    if not given:
        raise ValueError(
            f"{function}: candidates must be a sequence of one or more integers; got {shown(candidates)}. "
            "Pass a range, such as range(2, 11)."
        )
    for one in given:
        whole = isinstance(one, Integral) and not isinstance(one, bool)
        if not whole or not low <= int(one) <= high:
            remedy = why if whole else "Pass a range, or integers."
            raise ValueError(
                f"{function}: candidates must be integers in [{low}, {high}]; got {shown(one)} among them. "
                f"{remedy}"
            )
    return sorted({int(one) for one in given})


def check_number(function: str, argument: str, value: Any) -> float:
    """Value as a positive, finite float."""
    if not 0 < number_of(value) < float("inf"):
        raise ValueError(
            f"{function}: {argument} must be a positive number; got {shown(value)}. "
            "Pass a finite number above 0, such as 1.0."
        )
    return float(value)


def check_range(function: str, argument: str, value: Any, high: float = float("inf")) -> float:
    """Value as a finite float in [0, high]."""
    number = number_of(value)
    if not 0 <= number <= high or not isfinite(number):
        what = "a finite number of at least 0" if high == float("inf") else f"a number in [0, {high:g}]"
        if isfinite(number):
            remedy = "Raise it to 0." if number < 0 else f"Lower it to {high:g}."
        else:
            remedy = "Pass a finite float, such as 0.0."
        raise ValueError(f"{function}: {argument} must be {what}; got {shown(value)}. {remedy}")
    return float(value)


def check_tol(function: str, tol: Any) -> float:
    """The one rule of what a tolerance is: a finite number of at least 0."""
    if not 0 <= number_of(tol) < float("inf"):
        raise ValueError(
            f"{function}: tol must be a finite number of at least 0; got {shown(tol)}. "
            "Use 1e-4, or 0 to go on until nothing changes."
        )
    return float(tol)


def check_flag(function: str, argument: str, value: Any) -> bool:
    """Value as a bool; numpy's count."""
    if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
        raise ValueError(
            f"{function}: {argument} must be True or False; got {shown(value)}. Convert it with bool()."
        )
    return bool(value)


# What other libraries call the ways to measure.
SYNONYMS = {
    **dict.fromkeys(("l2", "sqeuclidean", "squared_euclidean", "minkowski", "l2sq"), "euclidean"),
    **dict.fromkeys(("ip", "inner", "inner_product", "innerproduct", "dot_product", "mips"), "dot"),
    **dict.fromkeys(("angular", "cosine_similarity", "cosinesimil"), "cosine"),
}


def check_choice(
    function: str, argument: str, value: Any, choices: tuple[str, ...], default: str | None = None
) -> None:
    """Refuse what is not one of the names; default: what to take if unsure, the first where None."""
    if isinstance(value, str) and value in choices:
        return
    names = ", ".join(map(repr, choices[:-1])) + " or " * (len(choices) > 1) + repr(choices[-1])
    word = value.lower() if isinstance(value, str) else ""
    meant = SYNONYMS.get(word.replace(" ", "_").replace("-", "_"))
    near = get_close_matches(word, choices, 1) if word else []
    remedy = f"Use {default or choices[0]!r} if unsure."
    if meant in choices:
        remedy = f"Use {meant!r}."
    elif near:
        remedy = f"The nearest is {near[0]!r}."
    raise ValueError(f"{function}: {argument} must be {names}; got {shown(value)}. {remedy}")


def check_metric(function: str, metric: str, default: str = "cosine") -> None:
    """Refuse what is not the name of a metric."""
    check_choice(function, "metric", metric, ("cosine", "euclidean"), default)


def check_code_columns(function: str, columns: int, components: int, biased: bool = False) -> None:
    """Refuse codes that have not a column for each component, and perhaps one of biases."""
    if columns != components + biased:
        bias = " and one for the bias" if biased else ""
        raise ValueError(
            f"{function}: X must have a column for each of the {components} components{bias}; got {columns}. "
            "Pass what transform returns."
        )


def is_number(value: Any) -> bool:
    """Whether value is a real number, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def number_of(value: Any) -> float:
    """Value as a float; NaN where it is no real number, or one beyond those of float64."""
    try:
        return float(value) if is_number(value) else float("nan")
    except OverflowError:
        return float("nan")
