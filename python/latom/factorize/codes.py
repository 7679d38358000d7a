"""Rows from their codes, by one rule of what codes are."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from latom._base.arrays import as_rows

Array = NDArray[Any]


def checked_codes(function: str, X: Any, components: int, biased: bool = False) -> Any:
    """Codes as dense rows or CSR of float32 or float64, a column per component, and perhaps one of biases."""
    codes = as_rows(function, X)
    if codes.shape[1] != components + biased:
        bias = " and one for the bias" if biased else ""
        raise ValueError(
            f"{function}: X must have a column for each of the {components} components{bias}; got "
            f"{codes.shape[1]}. Pass what transform returns."
        )
    return codes


def decoded(function: str, X: Any, components: Array) -> Array:
    """Codes times components, dense."""
    rows: Array = checked_codes(function, X, len(components)) @ components
    return rows
