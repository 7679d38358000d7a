"""Pictures of a clustering. Needs matplotlib: ``pip install latom[plot]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _MUTED, _RULE = "#1f2933", "#6b7780", "#d9dee3"
_LINE = "#2a6f97"


def plot_clusters(
    labels: ArrayLike,
    cosines: ArrayLike,
    *,
    terms: Sequence[Sequence[str]] | None = None,
    history: np.ndarray | None = None,
    title: str | None = None,
    max_clusters: int = 24,
) -> Figure:
    """Draw the sizes, the cosine distributions and the convergence of a clustering.

    One line per cluster, largest on top: its terms, a bar for its size, and the distribution of
    its documents' cosines with their center, with a tick at the mean and the color by it.

    Parameters
    ----------
    labels : array of shape (n,)
        The cluster of each document, from 0.
    cosines : array of shape (n,)
        The cosine of each document with its center: ``latom.assign(X, centers)[1]``.
    terms : sequence of k sequences of str, optional
        Top terms of each cluster, heaviest first; as many are written as fit.
    history : structured array, optional
        ``history_`` of the estimator: adds the convergence, from two iterations on.
    title : str, optional
        What was clustered.
    max_clusters : int, default=24
        The largest clusters are drawn, this many at most; the heading says so.

    Returns
    -------
    matplotlib.figure.Figure
        ``figure.savefig(path)`` writes it. No global state of pyplot is touched.

    Raises
    ------
    ImportError
        matplotlib is missing.
    ValueError
        No documents, or as many cosines as labels are not given.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.random.default_rng(0).random((50, 4))
    >>> model = latom.SphericalKMeans(3, random_state=0).fit(X)
    >>> _, cosines = latom.assign(X, model.cluster_centers_)
    >>> figure = plot_clusters(model.labels_, cosines, history=model.history_)
    >>> len(figure.axes)
    4
    """
    from matplotlib.figure import Figure

    labels, cosines = np.asarray(labels), np.asarray(cosines, dtype=np.float64)
    if labels.ndim != 1 or labels.size == 0 or labels.shape != cosines.shape:
        raise ValueError(
            "plot_clusters: labels and cosines must be non-empty and of one shape (n,); "
            f"got {labels.shape} and {cosines.shape}. Pass one of each for every document."
        )
    k = max(int(labels.max()) + 1, len(terms or ()))
    sizes = np.bincount(labels, minlength=k)
    means = np.bincount(labels, cosines, minlength=k) / np.maximum(sizes, 1)
    shown = np.argsort(-sizes, kind="stable")[: min(k, max_clusters)]

    rows_height = 0.34 * len(shown) + 0.5  # inches
    below = 1.75 if history is not None and len(history) > 1 else 0.0
    top, bottom, gap = 1.05, 0.55, 0.85 if below else 0.0
    height = top + rows_height + gap + below + bottom
    figure = Figure(figsize=(11.0, height), facecolor="white")

    def axes(left: float, right: float, y: float, tall: float) -> Axes:
        """Place axes by inches from the bottom, and by fractions of the width."""
        return figure.add_axes((left, y / height, right - left, tall / height))

    y = bottom + below + gap
    split = 0.40  # what is left of it belongs to the terms
    size_axes = axes(split, 0.62, y, rows_height)
    cosine_axes = axes(0.68, 0.975, y, rows_height)
    _draw_sizes(size_axes, sizes[shown], _row_names(shown, terms))
    _draw_cosines(cosine_axes, [cosines[labels == j] for j in shown], means[shown])
    if history is not None and below:
        _draw_convergence(
            axes(0.09, 0.49, bottom, below), axes(0.575, 0.975, bottom, below), history, labels.size
        )

    heading = f"{labels.size:,} documents in {k:,} clusters"
    if len(shown) < k:
        heading += f" (the {len(shown)} largest shown)"
    heading += f", mean cosine {cosines.mean():.3f}"
    place: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    figure.text(0.025, 1 - 0.2 / height, heading, size=15, weight="bold", color=_INK, **place)
    if title:
        title = title if len(title) <= 120 else f"...{title[-117:]}"  # a path's end tells most
        figure.text(0.025, 1 - 0.53 / height, title, size=10.5, color=_MUTED, **place)
    return figure


def _row_names(shown: np.ndarray, terms: Sequence[Sequence[str]] | None, width: int = 52) -> list[str]:
    """Join as many terms a cluster as stay within `width` characters."""
    names = []
    for j in shown:
        name = f"cluster {j}" if terms is None else ""
        for term in terms[j] if terms is not None else ():
            if name and len(name) + 2 + len(term) > width:
                break
            name = f"{name}, {term}" if name else term[:width]
        names.append(name)
    return names


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", size=10.5, color=_INK, pad=8, weight="bold")
    axes.tick_params(length=0, labelsize=9, colors=_MUTED)
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)


def _draw_sizes(axes: Axes, sizes: np.ndarray, names: list[str]) -> None:
    rows = np.arange(len(sizes))
    axes.barh(rows, sizes, height=0.66, color="#b8c9d6")
    for row, size in zip(rows, sizes, strict=True):
        axes.annotate(
            f"{size:,}",
            (size, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            size=9,
            color=_INK,
        )
    _style(axes, "Documents")
    axes.set_xlim(0, max(1, sizes.max()) * 1.16)
    axes.set_xticks([])
    axes.set_ylim(len(sizes) - 0.5, -0.7)
    axes.set_yticks(rows, names, color=_INK, parse_math=False)
    axes.annotate(
        "Top terms",
        (0, 1),
        (-8, 8),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        size=10.5,
        weight="bold",
        color=_INK,
    )


def _draw_cosines(axes: Axes, groups: list[np.ndarray], means: np.ndarray) -> None:
    """One smoothed histogram per row, each of the same height, so that shapes compare."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    drawn = np.concatenate(groups)
    low, high = drawn.min(), drawn.max()
    margin = 0.06 * max(high - low, 0.05)
    edges = np.linspace(low - margin, high + margin, 401)
    step = edges[1] - edges[0]
    centers = (edges[1:] + edges[:-1]) / 2
    color = Normalize(means.min() - 0.02, means.max() + 0.02)
    for row, (group, mean) in enumerate(zip(groups, means, strict=True)):
        base = row + 0.36
        axes.axhline(base, color=_RULE, linewidth=0.8)
        if not group.size:
            continue
        # Narrower than Silverman's bandwidth, which hides modes; the floor keeps a group of
        # equal cosines visible.
        bandwidth = max(0.8 * group.std() * group.size**-0.2, 4 * step)
        reach = np.arange(-199, 200) * step / bandwidth
        density = np.convolve(np.histogram(group, edges)[0], np.exp(-0.5 * reach**2), mode="same")
        density *= 0.92 / density.max()
        fill = colormaps["YlGnBu"](0.25 + 0.6 * color(mean))
        axes.fill_between(centers, base, base - density, color=fill, linewidth=0, zorder=2)
        axes.plot([mean, mean], [base, base - 0.5], color=_INK, linewidth=1.3, zorder=3)
    _style(axes, "Cosine with the center (tick: mean)")
    axes.set_xlim(edges[0], edges[-1])
    axes.grid(axis="x", color=_RULE, linewidth=0.8)
    axes.set_ylim(len(groups) - 0.5, -0.7)
    axes.set_yticks([])


def _draw_convergence(left: Axes, right: Axes, history: np.ndarray, n: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    iterations = history["iteration"]
    marker = "o" if len(history) <= 60 else None
    line: dict[str, Any] = {"color": _LINE, "linewidth": 1.6, "marker": marker, "markersize": 3.5}
    left.plot(iterations, 1 - history["objective"] / n, **line)
    _style(left, "Mean cosine by iteration")
    right.plot(iterations, history["changed"], **line)
    right.set_yscale("symlog", linthresh=1)  # logarithmic, and shows the zero of convergence
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _style(right, "Documents that changed cluster")
    for axes in (left, right):
        axes.set_xlabel("iteration", size=9, color=_MUTED)
        axes.grid(axis="y", color=_RULE, linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(iterations[0] - 0.5, iterations[-1] + 0.5)
