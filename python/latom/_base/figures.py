"""Where results draw themselves: on matplotlib axes that are given, or on a figure of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

import numpy as np

from latom._base.checks import shown


@contextmanager
def drawing(
    function: str, where: Any, counts: tuple[int, ...], size: tuple[float, float]
) -> Iterator[tuple[Any, list[Any]]]:
    """A figure and the axes to draw on, by what a method ``plot`` was told; a path is written at the end.

    pyplot, which keeps each figure that it makes until it is closed, takes no part.

    Parameters
    ----------
    function : str
        What messages name.
    where : str, path-like, matplotlib axes, a sequence of axes, or None
    counts : tuple of int
        Numbers of axes that may be given. A figure of its own has the last of them, side by side.
    size : tuple of float
        Inches of one of these, wide and high.
    """
    file = where if isinstance(where, (str, PathLike)) else None
    if where is None or file is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(size[0] * counts[-1], size[1]), layout="constrained")
        axes = list(figure.subplots(1, counts[-1], squeeze=False)[0])
    else:
        axes = list(np.ravel(np.array(where, object)))
        if len(axes) not in counts or not all(hasattr(one, "twinx") for one in axes):
            raise TypeError(
                f"{function}: where must be a path, or matplotlib axes, {' or '.join(map(str, counts))} of "
                f"them; got {shown(where)}. Leave it out for a figure of its own."
            )
        figure = axes[0].figure
    yield figure, axes
    if file is not None:
        figure.savefig(file)
