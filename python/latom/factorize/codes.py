"""Rows from their codes, by one rule of what codes are."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from latom._base.arrays import as_rows
from latom._base.checks import check_code_columns

Array = NDArray[Any]


def checked_codes(function: str, X: Any, components: int, biased: bool = False) -> Any:
    """Codes as dense rows or CSR of float32 or float64, a column per component, and perhaps one of biases."""
    codes = as_rows(function, X)
    check_code_columns(function, codes.shape[1], components, biased)
    return codes


def decoded(function: str, X: Any, components: Array) -> Array:
    """Codes times components, dense."""
    rows: Array = checked_codes(function, X, len(components)) @ components
    return rows
