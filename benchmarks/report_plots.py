"""Pictures of the families: lines, bars, and losses (`report_losses.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import report_losses
from report_cells import (
    Entry,
    best_settings,
    by_calls,
    by_losses,
    heading,
    is_ours,
    seconds,
    spaced,
    style,
)


def plot(entries: list[Entry], setup: dict[str, Any], path: Path) -> None:
    """Of fits, seconds per iteration; of calls, speed relative to the fastest peer; of losses, their fall.

    But for losses, each peer is drawn at its best setting alone.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    losses = by_losses(entries)
    timed = [e for e in entries if "reason" not in e] if losses else best_settings(entries)
    draw = report_losses.lines if losses else _bars if by_calls(entries) else _lines
    figure = draw(timed, pyplot)
    if figure is not None:
        most = max(e["threads"] for e in timed)
        corpora = list(dict.fromkeys(e["corpus"] for e in timed))
        where = f"{setup['machine']}, {most} threads"
        between = "; " if len(figure.axes) > 1 or draw is not _bars else "\n"  # one panel of bars is narrow
        figure.suptitle(f"{corpora[0]}{between}{where}" if len(corpora) == 1 else where, fontsize=11)
        figure.savefig(path, dpi=150)
        pyplot.close(figure)


def _lines(timed: list[Entry], pyplot: Any) -> Any:
    """Seconds per iteration against clusters and against rows: log-log, one line a library."""
    full = max(e["n"] for e in timed)
    shared = [e for e in timed if e["series"] == "m"]  # its full case belongs to every panel
    panels = []
    for series, axis, label in (("m", "m", "clusters"), ("rows", "n", "rows")):
        own = [e for e in timed if e["series"] == series]
        if series != "m" and own:
            own += [e for e in shared if e["m"] == own[0]["m"] and e["n"] == full]
        if len({e[axis] for e in own}) > 1:
            panels.append((own, axis, label))
    if not panels:
        return None
    figure, axes = pyplot.subplots(
        1,
        len(panels),
        figsize=(4.6 * len(panels) + 2.2, 4.6),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    names = list(dict.fromkeys(e["library"] for e in timed))
    colors = style(names)
    for ax, (own, axis, label) in zip(axes[0], panels, strict=True):
        for name in names:
            line = sorted((e[axis], seconds(e)) for e in own if e["library"] == name)
            if line and (axis == "m" or len(line) > 1):
                width = 2.6 if name.startswith("latom") else 1.3
                ax.plot(*zip(*line, strict=True), "o-", lw=width, ms=4, color=colors[name], label=name)
        ax.set(xscale="log", yscale="log", xlabel=label)
        ticks = sorted({e[axis] for e in own})
        ax.set_xticks(ticks, [spaced(tick) for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.grid(which="major", alpha=0.3)
        if axis != "m":
            ax.set_title(f"m = {spaced(own[0]['m'])}", fontsize=10)
    axes[0][0].set_ylabel("seconds per iteration")
    handles, labels = axes[0][0].get_legend_handles_labels()
    columns = 4 if len(panels) > 1 else 3
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _bars(timed: list[Entry], pyplot: Any) -> Any:
    """Speed relative to the fastest peer: a panel a shape, a group of bars a number of rows."""
    panels: dict[tuple[Any, ...], list[Entry]] = {}
    for e in timed:
        key = tuple(e.get(name) for name in ("series", "d", "m", "k", "metric", "threads"))
        panels.setdefault(key, []).append(e)
    names = list(dict.fromkeys(e["library"] for e in timed))
    names.sort(key=lambda name: name.startswith("latom"))  # ours end each group, side by side
    colors = style(names)
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    size = (3.8 * across + 0.8, 2.7 * down + 1.2)
    figure, axes = pyplot.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, own in zip(axes.flat, panels.values(), strict=False):
        groups = sorted({e["n"] for e in own})
        here = [name for name in names if any(e["library"] == name for e in own)]
        width = 0.8 / len(here)
        for e in own:
            case = [other for other in own if other["n"] == e["n"]]
            peers = [seconds(other) for other in case if not is_ours(other)]
            fastest = min(peers, default=seconds(e))
            place = groups.index(e["n"]) + (here.index(e["library"]) - (len(here) - 1) / 2) * width
            speed = fastest / seconds(e)
            ax.bar(place, speed, width, color=colors[e["library"]])
            if is_ours(e):  # upright, as the bars of latom and its variants touch
                ax.text(place, speed, f" {speed:.1f}×", rotation=90, ha="center", va="bottom", fontsize=7)
        ax.axhline(1.0, color="0.3", lw=0.8, ls="--")
        ax.margins(y=0.2)
        ax.set_xticks(range(len(groups)), [f"n = {spaced(n)}" for n in groups])
        ax.grid(axis="y", alpha=0.3)
        ax.set_axisbelow(True)
        first = own[0]
        words = f"{heading(first)}\n" if len(panels) > 1 else ""
        kept = f", k = {first['k']}" if first.get("k") else ""
        ax.set_title(f"{words}d = {spaced(first['d'])}, m = {spaced(first['m'])}{kept}", fontsize=9)
    for row in axes:
        row[0].set_ylabel("speed, fastest peer = 1")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=colors[name]) for name in names]
    columns = max(3, min(5, 2 * across))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure
