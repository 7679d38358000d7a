"""The one refusal of rows with a number below 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from latom._base.rows import Rows


def check_not_negative(
    context: Any,
    X: Rows,
    remedy: str,
    *,
    name: str = "X",
    where: str = "",
    words: str = "Negative values in data",
) -> None:
    """A ValueError that shows the first number below 0 and its row; ``words`` are scikit-learn's."""
    if X.core.non_negative(context):
        return
    matrix = X.numbers
    values = matrix.data if X.sparse else matrix.reshape(-1)
    at = int(np.argmax(values < 0))
    row = np.searchsorted(matrix.indptr, at, side="right") - 1 if X.sparse else at // X.shape[1]
    raise ValueError(
        f"{context.function}: {name} must not be negative{where} ({words}); got {values[at]:g} in row {row}. "
        f"{remedy}"
    )
