"""What the everyday family has of its own: cells in one small table, and one picture of all its cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from report_cells import Entry, by_case, by_seeds, fastest_peer, number, seconds, spaced

PANELS = {
    "everyday_fit": "default fits",
    "everyday_iterations": "ten iterations from given centers",
    "everyday_predict": "predict, 384 columns",
    "everyday_transform": "transform, 384 columns",
}

Cells = dict[str, dict[int, tuple[float, str]]]  # line -> clusters -> latom's speed and the fastest peer


def cells(entries: list[Entry]) -> Cells:
    """latom's speed relative to the fastest peer, of each line (a corpus, or so many rows) and m."""
    found: Cells = {}
    for case in by_case(entries).values():
        ours = next((e for e in case if e["library"] == "latom" and "reason" not in e), None)
        peer = fastest_peer(case)
        if ours is None or peer is None:
            continue
        first = case[0]
        line = f"n = {spaced(first['n'])}" if first["corpus"] == "embeddings" else first["corpus"]
        found.setdefault(line, {})[first["m"]] = seconds(peer) / seconds(ours), peer["library"]
    return found


def summary(entries: list[Entry]) -> list[str]:
    """One table of all cells: how many times faster latom is than the fastest peer, and which that is."""
    found = cells(entries)
    columns = sorted({m for line in found.values() for m in line})
    lines = ["latom's speed, the fastest peer at its best setting = 1:", ""]
    lines += [
        "| | " + " | ".join(f"m = {spaced(m)}" for m in columns) + " |",
        "| --- |" + " --: |" * len(columns),
    ]
    for name, line in found.items():
        shown = (f"{number(line[m][0])} ({line[m][1]})" if m in line else "" for m in columns)
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return [*lines, "", *(_objectives(entries, columns) if by_seeds(entries) else [])]


def _objectives(entries: list[Entry], columns: list[int]) -> list[str]:
    """latom's median objective relative to the best one of a peer that looks at all rows."""
    found: dict[str, dict[int, str]] = {}
    for case in by_case(entries).values():
        scores = {e["library"]: e["score"]["1"] for e in case if "reason" not in e and not e.get("sample")}
        peers = [score for name, score in scores.items() if not name.startswith("latom")]
        if "latom" in scores and peers and min(peers) > 0:
            found.setdefault(case[0]["corpus"], {})[case[0]["m"]] = f"{scores['latom'] / min(peers):.4f}"
    lines = ["latom's median objective, the best peer's = 1:", ""]
    lines += ["| | " + " | ".join(f"m = {spaced(m)}" for m in columns) + " |"]
    lines += ["| --- |" + " --: |" * len(columns)]
    lines += [
        f"| {name} | " + " | ".join(row.get(m, "") for m in columns) + " |" for name, row in found.items()
    ]
    return [*lines, ""]


def plot(folder: Path, setup: dict[str, Any]) -> None:
    """`everyday.png`: the cells of every everyday table in the folder, against clusters."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    tables = {
        title: cells(json.loads((folder / f"{task}.json").read_text())["entries"])
        for task, title in PANELS.items()
        if (folder / f"{task}.json").exists()
    }
    tables = {title: found for title, found in tables.items() if found}
    if not tables:
        return
    across = min(2, len(tables))
    down = -(-len(tables) // across)
    size = (4.8 * across, 3.6 * down)
    figure, axes = pyplot.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(tables) :]:
        ax.set_axis_off()
    for ax, (title, found) in zip(axes.flat, tables.items(), strict=False):
        for name, line in found.items():
            ms = sorted(line)
            ax.plot(ms, [line[m][0] for m in ms], "o-", ms=4, lw=1.6, label=name)
        ax.axhline(1.0, color="0.3", lw=0.8, ls="--")
        ticks = sorted({m for line in found.values() for m in line})
        ax.set(xscale="log", yscale="log", xlabel="clusters", title=title)
        ax.set_xticks(ticks, [spaced(m) for m in ticks], fontsize=8)
        ax.set_xticks([], minor=True)
        low, high = ax.get_ylim()
        speeds = [v for v in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= v <= high]
        ax.set_yticks(speeds, [f"{v:g}×" for v in speeds])
        ax.set_yticks([], minor=True)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=7, frameon=False)
    for row in axes:
        row[0].set_ylabel("speed, fastest peer = 1")
    figure.suptitle(f"Everyday k-means; {setup['machine']}", fontsize=11)
    figure.savefig(folder / "everyday.png", dpi=150)
    pyplot.close(figure)
