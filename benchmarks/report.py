"""Turn pytest-benchmark results into a table, a compact JSON file and a plot.

    python benchmarks/report.py RAW.json [MORE.json ...] [--output benchmarks/results]

Later files win where two hold the same case and library, so one library can be measured again by
itself: pass the compact JSON of an earlier report first, then the new raw file.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
CASE = ("task", "series", "corpus", "n", "d", "nnz", "m", "threads")
KEPT = (
    *CASE,
    *("library", "version", "note", "how", "n_iter", "passes", "rounds", "fit_seconds"),
    *("seconds_per_iteration", "memory", "score_name", "score", "reason"),
)
TITLES = {"m": "Number of clusters", "rows": "Number of rows", "threads": "Threads"}


def read(paths: Iterable[Path]) -> tuple[list[Entry], dict[str, Any]]:
    """Entries of raw or compact files, the last of each case and library, and the machine."""
    entries: dict[tuple[Any, ...], Entry] = {}
    setup: dict[str, Any] = {}
    for path in paths:
        content = json.loads(path.read_text())
        if "entries" in content:
            found, about = content["entries"], content["setup"]
        else:
            found = [_from_benchmark(item) for item in content["benchmarks"]]
            found += content["not_measured"]
            about = content["setup"] | _machine(content)
        if setup and about["machine"] != setup["machine"]:
            raise SystemExit(f"{path} was measured on another machine: {about['machine']}")
        setup = about
        for entry in found:
            key = tuple(entry[name] for name in (*CASE, "library"))
            entries[key] = {name: entry[name] for name in KEPT if name in entry}
    return list(entries.values()), setup


def _from_benchmark(item: dict[str, Any]) -> Entry:
    """Entry of a raw result, with the times that pytest-benchmark itself took."""
    entry: Entry = dict(item["extra_info"])
    own, stats = entry["fit_seconds"], item["stats"]
    entry["seconds_per_iteration"] *= stats["median"] / own
    entry["fit_seconds"], entry["rounds"] = stats["median"], stats["rounds"]
    return entry


def _machine(content: dict[str, Any]) -> dict[str, str]:
    cpu = content["machine_info"]["cpu"]
    brand = re.sub(r"\((R|TM)\)|CPU|Processor|@.*", "", cpu.get("brand_raw", "unknown cpu"))
    name = f"{' '.join(brand.split())}, {content['setup']['cpus']} cores"
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")
    instructions = " ".join(flag for flag in wanted if flag in cpu.get("flags", []))
    return {"machine": name, "instructions": instructions, "date": content["datetime"][:10]}


def slug(machine: str) -> str:
    """Folder name of a machine, such as `amd-epyc-2-cores`."""
    return re.sub(r"[^a-z0-9]+", "-", machine.lower()).strip("-")


def _number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{float(f'{value:.3g}'):.{max(0, 2 - _magnitude(value))}f}"


def _spaced(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def _magnitude(value: float) -> int:
    return int(f"{value:e}".split("e")[1]) if value > 0 else 0


def _is_ours(entry: Entry) -> bool:
    return bool(entry["library"].startswith("latom"))


def _rows(entries: list[Entry]) -> list[list[str]]:
    """Table cells of one case: the measured from fast to slow, then the others."""
    timed = sorted((e for e in entries if "reason" not in e), key=lambda e: _seconds(e))
    fastest = min((_seconds(e) for e in timed if not _is_ours(e)), default=0.0)
    ours: dict[str, float] = next((e["score"] for e in timed if e["library"] == "latom"), {})
    rows = []
    for e in timed:
        passes = str(e["passes"])
        rows.append(
            [
                f"**{e['library']}**" if _is_ours(e) else e["library"],
                _number(_seconds(e)) + ("" if e["how"] == "whole" else " *"),
                _number(fastest / _seconds(e)) if fastest else "",
                f"{_number(e['fit_seconds'])} ({e['n_iter']})",
                f"{e['score'][passes]:.4f} ({passes})",
                f"{ours[passes]:.4f}" if passes in ours else "",
                _spaced(round(e["memory"] / 1e6)),
            ]
        )
    untimed = [e for e in entries if "reason" in e]
    return rows + [[e["library"], e["reason"], "", "", "", "", ""] for e in untimed]


def _seconds(entry: Entry) -> float:
    return float(entry["seconds_per_iteration"])


def table(entries: list[Entry], setup: dict[str, Any]) -> str:
    """The whole Markdown page of one task."""
    score = next((e["score_name"] for e in entries if "score_name" in e), "score")
    head = ["library", "s / iteration", "speed, fastest peer = 1", "fit, s (iterations)"]
    head += [f"{score} (passes)", "latom's after as many", "memory, MB"]
    lines = [f"# {entries[0]['task']} on {setup['machine']}", ""]
    lines += ["Written by `benchmarks/report.py`; the protocol is in `benchmarks/README.md`.", ""]
    for series in dict.fromkeys(e["series"] for e in entries):
        part = [e for e in entries if e["series"] == series]
        lines += [f"## {TITLES.get(series, series)}", ""]
        for case in dict.fromkeys(tuple(e[name] for name in CASE) for e in part):
            members = [e for e in part if tuple(e[name] for name in CASE) == case]
            lines += [_case_title(members[0]), "", _line(head), _line(["---"] + ["--:"] * 6)]
            lines += [*map(_line, _rows(members)), ""]
    lines += [
        f"\\* a fit of {setup['iterations']} iterations would take over {setup['budget']:.0f} s: "
        "fewer were run, and their time divided by the assignment passes.",
        "Passes: assignment passes up to the labels that were scored. "
        "Memory: peak of the process beyond library and problem as loaded.",
        f"Rounds: latom {setup['rounds']} (median), peers {setup['peer_rounds']}, each after a fit "
        "of one iteration. A fit is ended, or not started, when it passes "
        f"{setup['limit']:.0f} s.",
        *("", "## Libraries and machine", ""),
    ]
    for library in dict.fromkeys(e["library"] for e in entries):
        known = [e for e in entries if e["library"] == library and "version" in e]
        if known:
            note = f": {known[-1]['note']}" if known[-1]["note"] else ""
            lines.append(f"- {library} {known[-1]['version']}{note}")
    gib = setup["memory"] / 2**30
    lines += [
        f"- {setup['machine']} ({setup['instructions']}), {gib:.0f} GiB; {setup['system']}; "
        f"Python {setup['python']}, numpy {setup['numpy']}, scipy {setup['scipy']}; {setup['date']}"
    ]
    return "\n".join(lines) + "\n"


def _case_title(e: Entry) -> str:
    shape = f"{_spaced(e['n'])} × {_spaced(e['d'])}, {_spaced(e['nnz'])} entries"
    plural = "" if e["threads"] == 1 else "s"
    return f"**m = {_spaced(e['m'])}**: {e['corpus']}, {shape}, {e['threads']} thread{plural}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plot(entries: list[Entry], setup: dict[str, Any], path: Path) -> None:
    """Seconds per iteration against clusters and against rows: log-log, one line a library."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    timed = [e for e in entries if "reason" not in e]
    full = max(e["n"] for e in timed)
    most = max(e["threads"] for e in timed)
    shared = [e for e in timed if e["series"] == "m"]  # its full case belongs to every panel
    panels = []
    for series, axis, label in (("m", "m", "clusters"), ("rows", "n", "rows")):
        own = [e for e in timed if e["series"] == series]
        if series != "m" and own:
            own += [e for e in shared if e["m"] == own[0]["m"] and e["n"] == full]
        if len({e[axis] for e in own}) > 1:
            panels.append((own, axis, label))
    if not panels:
        return
    figure, axes = pyplot.subplots(
        1,
        len(panels),
        figsize=(4.6 * len(panels) + 2.2, 4.6),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    names = list(dict.fromkeys(e["library"] for e in timed))
    for ax, (own, axis, label) in zip(axes[0], panels, strict=True):
        for number, name in enumerate(names):
            line = sorted((e[axis], _seconds(e)) for e in own if e["library"] == name)
            if line and (axis == "m" or len(line) > 1):
                width = 2.6 if name.startswith("latom") else 1.3
                color = "black" if name == "latom" else f"C{number}"
                ax.plot(*zip(*line, strict=True), "o-", lw=width, ms=4, color=color, label=name)
        ax.set(xscale="log", yscale="log", xlabel=label)
        ticks = sorted({e[axis] for e in own})
        ax.set_xticks(ticks, [_spaced(tick) for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.grid(which="major", alpha=0.3)
        if axis != "m":
            ax.set_title(f"m = {_spaced(own[0]['m'])}", fontsize=10)
    axes[0][0].set_ylabel("seconds per iteration")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"{timed[0]['corpus']}; {setup['machine']}, {most} threads", fontsize=11)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    entries, setup = read(arguments.files)
    folder = arguments.output / slug(setup["machine"])
    folder.mkdir(parents=True, exist_ok=True)
    for task in dict.fromkeys(e["task"] for e in entries):
        part = [e for e in entries if e["task"] == task]
        compact = {"setup": setup, "entries": part}
        (folder / f"{task}.json").write_text(json.dumps(compact, indent=1) + "\n")
        (folder / f"{task}.md").write_text(table(part, setup), encoding="utf-8")
        if any("reason" not in e for e in part):
            plot(part, setup, folder / f"{task}.png")
        print(folder / f"{task}.md")


if __name__ == "__main__":
    main()
