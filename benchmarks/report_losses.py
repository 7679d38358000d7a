"""Tables and plots of families whose libraries are to reach a loss.

The goal of a case is the last loss of its reference library, such as that of 200 multiplicative updates. A
library has reached it with the shortest measured fit that ends at or below it.
"""

from __future__ import annotations

from typing import Any

from report_cells import Entry, number, spaced, style

ROUNDING = 1e-5  # of a loss: the reference with other kernels or fewer bits must be able to reach its own
HEAD = [
    "library",
    "s / iteration",
    "s to the goal (iterations)",
    "speed, reference = 1",
    "loss (iterations)",
    "memory, MB",
]


def goal(entries: list[Entry]) -> float:
    """The loss that a case asks for, and what rounding may add; NaN where its reference was not measured."""
    ends = [e["losses"][-1][2] for e in entries if "losses" in e and e["library"] == e["reference"]]
    return float(ends[0]) * (1 + ROUNDING) if ends else float("nan")


def reached(entry: Entry, loss: float) -> tuple[int, float] | None:
    """Iterations and seconds of the shortest fit at or below the loss."""
    found = [(count, seconds) for count, seconds, own in entry["losses"] if own <= loss]
    return min(found, key=lambda pair: pair[1]) if found else None


def rows(entries: list[Entry]) -> list[list[str]]:
    """Table cells of one case: who reaches the goal first, then the others."""
    wanted = goal(entries)
    measured = [e for e in entries if "losses" in e]
    times = {e["library"]: reached(e, wanted) for e in measured}
    whole = next((e["losses"][-1][1] for e in measured if e["library"] == e["reference"]), 0.0)
    measured.sort(key=lambda e: (times[e["library"]] or (0, float("inf")))[1])
    cells = []
    for e in measured:
        ours = e["library"].startswith("latom")
        at = times[e["library"]]
        count, _, loss = e["losses"][-1]
        cells.append(
            [
                f"**{e['library']}**" if ours else e["library"],
                number(e["seconds_per_iteration"]),
                f"{number(at[1])} ({at[0]})" if at else "not reached",
                number(whole / at[1]) if at else "",
                f"{loss:{e['score_format']}} ({count})",
                spaced(round(e["memory"] / 1e6)),
            ]
        )
    unmeasured = [[e["library"], e["reason"]] for e in entries if "reason" in e]
    return cells + [row + [""] * (len(HEAD) - 2) for row in unmeasured]


def notes() -> list[str]:
    """What the columns mean."""
    return [
        f"Goal: the last loss of the reference, but for {ROUNDING:g} of it. s to the goal: the shortest of "
        "the fits of 1, 2, 3, ... iterations (peers: 10, 50, 200), each timed whole and from the start, that "
        "ends at or below it.",
        "s / iteration: between the shortest and the longest of these fits. Loss: of the longest, from the "
        "answer in float64. Memory: peak of the process beyond library and problem as loaded.",
    ]


def lines(timed: list[Entry], pyplot: Any) -> Any:
    """Loss against seconds, a panel a case; the goal as a dashed line."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panels: dict[tuple[Any, ...], list[Entry]] = {}
    for e in timed:
        panels.setdefault((e["series"], e["corpus"], e["m"], e.get("k") or 0), []).append(e)
    names = list(dict.fromkeys(e["library"] for e in timed))
    colors = style(names)
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    size = (4.6 * across + 0.6, 3.1 * down + 0.9 + 0.1 * (across == 1) * len(names))
    figure, axes = pyplot.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (name, own) in zip(axes.flat, sorted(panels.items()), strict=False):
        wanted = goal(own)
        for e in own:
            _, seconds, losses = zip(*e["losses"], strict=True)
            ours = e["library"].startswith("latom")
            ax.plot(seconds, losses, "o-", ms=3, lw=2.2 if ours else 1.3, color=colors[e["library"]])
        ax.axhline(wanted, color="0.3", lw=0.8, ls="--")
        at = reached(next((e for e in own if e["library"] == "latom"), own[0]), wanted)
        whole = next((e["losses"][-1][1] for e in own if e["library"] == e["reference"]), 0.0)
        if at and whole:
            ax.annotate(
                f"{whole / at[1]:.0f}×", at[1:] + (wanted,), (4, 4), textcoords="offset points", fontsize=9
            )
        kept = f", {own[0]['k']} kept" if own[0].get("k") else ""
        alike = sum(key[0] == name[0] and key[2:] == name[2:] for key in panels)  # but for what they are of
        size = own[0]["corpus"] if alike > 1 else f"{spaced(own[0]['n'])} × {spaced(own[0]['d'])}"
        ax.set_title(f"{size}, m = {own[0]['m']}{kept}", fontsize=9)
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # a panel may span less than a decade
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(which="major", alpha=0.3)
    for row in axes:
        row[0].set_ylabel("loss")
    for ax in axes[-1]:
        ax.set_xlabel("seconds")
    handles = [pyplot.Line2D([], [], marker="o", ms=4, color=colors[name]) for name in names]
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=min(5 if across > 1 else 2, len(names)),
        frameon=False,
        fontsize=9,
    )
    return figure
