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

import report_losses
from report_losses import number as _number
from report_losses import spaced as _spaced
from report_losses import style as _style

Entry = dict[str, Any]
CASE = ("task", "series", "corpus", "n", "d", "nnz", "m", "k", "metric", "threads")
KEPT = (
    *CASE,
    *("library", "version", "note", "how", "n_iter", "passes", "rounds", "fit_seconds"),
    *("seconds_per_iteration", "memory", "score_name", "score_format", "score"),
    *("operations", "peaks", "losses", "reference", "reason"),
)
TITLES = {
    "m": "Number of clusters",
    "rows": "Number of rows",
    "threads": "Threads",
    "random": "Random rows",
    "codes": "Random codes",
    "activations": "MLP activations",
    "embeddings": "Embeddings against random unit atoms",
    "neighbors": "Nearest neighbors among embeddings",
}


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
            key = (*_case(entry), entry["library"])
            entries[key] = {name: entry[name] for name in KEPT if name in entry}
    return list(entries.values()), setup


def _case(entry: Entry) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in CASE)


def _from_benchmark(item: dict[str, Any]) -> Entry:
    """Entry of a raw result, with the times that pytest-benchmark itself took."""
    entry: Entry = dict(item["extra_info"])
    if entry["how"] == "losses":  # the benchmark timed a row of fits, which the entry holds one by one
        return entry | {"rounds": 1}
    own, stats = entry["fit_seconds"], item["stats"]
    entry["seconds_per_iteration"] *= stats["median"] / own
    entry["fit_seconds"], entry["rounds"] = stats["median"], stats["rounds"]
    return entry


def _machine(content: dict[str, Any]) -> dict[str, str]:
    cpu = content["machine_info"]["cpu"]
    name = machine_name(cpu, content["setup"]["cpus"])
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")
    instructions = " ".join(flag for flag in wanted if flag in cpu.get("flags", []))
    return {"machine": name, "instructions": instructions, "date": content["datetime"][:10]}


VECTORS = {"avx512_bf16": "AVX-512 BF16", "avx512f": "AVX-512", "avx2": "AVX2", "sve": "SVE", "asimd": "NEON"}


def machine_name(cpu: dict[str, Any], cpus: int) -> str:
    """Such as "AMD EPYC, AVX2, 2 cores", of what py-cpuinfo tells: the brand alone may hide what decides."""
    plain = re.sub(r"\((R|TM)\)|CPU|Processor|@.*", "", cpu.get("brand_raw", "unknown cpu"))
    vectors = [name for flag, name in VECTORS.items() if flag in cpu.get("flags", [])][:1]
    return ", ".join([" ".join(plain.split()), *vectors, f"{cpus} cores"])


def slug(machine: str) -> str:
    """Folder name of a machine, such as `amd-epyc-avx2-2-cores`."""
    return re.sub(r"[^a-z0-9]+", "-", machine.lower()).strip("-")


def _is_ours(entry: Entry) -> bool:
    return bool(entry["library"].startswith("latom"))


def _rows(entries: list[Entry], calls: bool) -> list[list[str]]:
    """Table cells of one case: the measured from fast to slow, then the others."""
    timed = sorted((e for e in entries if "reason" not in e), key=_seconds)
    fastest = min((_seconds(e) for e in timed if not _is_ours(e)), default=0.0)
    ours: dict[str, float] = next((e["score"] for e in timed if e["library"] == "latom"), {})
    rows = []
    for e in timed:
        name = f"**{e['library']}**" if _is_ours(e) else e["library"]
        speed = _number(fastest / _seconds(e)) if fastest else ""
        own = _call_cells(e, speed) if calls else _fit_cells(e, speed, ours)
        rows.append([name, *own, _spaced(round(e["memory"] / 1e6))])
    width = len(_head(entries, calls))
    untimed = [[e["library"], e["reason"]] for e in entries if "reason" in e]
    return rows + [cells + [""] * (width - len(cells)) for cells in untimed]


def _head(entries: list[Entry], calls: bool) -> list[str]:
    """Column names; those of `_rows`."""
    score = next((e["score_name"] for e in entries if "score_name" in e), "score")
    speed = "speed, fastest peer = 1"
    if not calls:
        own = ["s / iteration", speed, "fit, s (iterations)", f"{score} (passes)", "latom's after as many"]
    else:
        peaks: dict[str, Any] = next((e["peaks"] for e in entries if "peaks" in e), {})
        own = ["ms / call", speed, "GF/s", *(f"of {precision} peak" for precision in peaks), score]
    return ["library", *own, "memory, MB"]


def _fit_cells(e: Entry, speed: str, ours: dict[str, float]) -> list[str]:
    passes = str(e["passes"])
    shown = e.get("score_format", ".4f")
    return [
        _number(_seconds(e)) + ("" if e["how"] == "whole" else " *"),
        speed,
        f"{_number(e['fit_seconds'])} ({e['n_iter']})",
        f"{e['score'][passes]:{shown}} ({passes})",
        f"{ours[passes]:{shown}}" if passes in ours else "",
    ]


def _call_cells(e: Entry, speed: str) -> list[str]:
    rate = e["operations"] / _seconds(e)
    shares = [f"{100 * rate / peak:.2g} %" for peak, _ in e.get("peaks", {}).values()]
    score = f"{e['score']['1']:{e['score_format']}}"
    return [_number(1e3 * _seconds(e)), speed, _number(rate / 1e9), *shares, score]


def _seconds(entry: Entry) -> float:
    return float(entry["seconds_per_iteration"])


def table(entries: list[Entry], setup: dict[str, Any]) -> str:
    """The whole Markdown page of one task."""
    calls, losses = _by_calls(entries), _by_losses(entries)
    lines = [f"# {entries[0]['task']} on {setup['machine']}", ""]
    lines += ["Written by `benchmarks/report.py`; the protocol is in `benchmarks/README.md`.", ""]
    for series in dict.fromkeys(e["series"] for e in entries):
        part = [e for e in entries if e["series"] == series]
        lines += [f"## {TITLES.get(series, series)}", ""]
        for case in dict.fromkeys(map(_case, part)):
            members = [e for e in part if _case(e) == case]
            head = report_losses.HEAD if losses else _head(part, calls)
            lines += [_case_title(members[0]), "", _line(head), _line(["---"] + ["--:"] * (len(head) - 1))]
            rows = report_losses.rows(members) if losses else _rows(members, calls)
            lines += [*map(_line, rows), ""]
    lines += report_losses.notes() if losses else _call_notes(entries, setup) if calls else _fit_notes(setup)
    lines += ["", "## Libraries and machine", ""]
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


def _by_calls(entries: list[Entry]) -> bool:
    return any(e.get("how") == "calls" for e in entries)


def _by_losses(entries: list[Entry]) -> bool:
    return any(e.get("how") == "losses" for e in entries)


def _fit_notes(setup: dict[str, Any]) -> list[str]:
    return [
        f"\\* a fit of {setup['iterations']} iterations would take over {setup['budget']:.0f} s: "
        "fewer were run, and their time divided by the assignment passes.",
        "Passes: assignment passes up to the labels that were scored. "
        "Memory: peak of the process beyond library and problem as loaded.",
        f"Rounds: latom {setup['rounds']} (median), peers {setup['peer_rounds']}, each after a fit "
        "of one iteration. A fit is ended, or not started, when it passes "
        f"{setup['limit']:.0f} s.",
    ]


def _call_notes(entries: list[Entry], setup: dict[str, Any]) -> list[str]:
    rounds = sorted({e["rounds"] for e in entries if "rounds" in e})
    times = f"{rounds[0]} to {rounds[-1]}" if len(rounds) > 1 else f"{rounds[0]}"
    notes = [
        f"ms / call: median of {times} blocks, each of as many calls as take {setup['block']:g} s, "
        "after calls that warm up; alike for latom and its peers.",
        "GF/s: operations of the plain algorithm, whatever a library really did. "
        "Memory: peak of the process beyond library and problem as loaded.",
    ]
    for threads in dict.fromkeys(e["threads"] for e in entries if "peaks" in e):
        found = [e["peaks"] for e in entries if "peaks" in e and e["threads"] == threads]
        parts = []
        for precision in dict.fromkeys(name for peaks in found for name in peaks):
            measured = [peaks[precision] for peaks in found if precision in peaks]
            rates = [round(rate / 1e9) for rate, _ in measured]  # one a session; a report may hold several
            span = f"{min(rates)}" if min(rates) == max(rates) else f"{min(rates)} to {max(rates)}"
            parts.append(f"{precision} {span} GF/s ({measured[-1][1]})")
        notes.append(
            f"Peaks with {threads} threads: {', '.join(parts)}. Each is the fastest of the probes that "
            "`benchmarks/peak.py` tries in the same run."
        )
    return notes


def _case_title(e: Entry) -> str:
    entries = f", {_spaced(e['nnz'])} entries" if e["nnz"] != e["n"] * e["d"] else ""
    kept = f", k = {e['k']}" if e.get("k") else ""
    metric = f", {e['metric']}" if e.get("metric") else ""
    plural = "" if e["threads"] == 1 else "s"
    shape = f"{_spaced(e['n'])} × {_spaced(e['d'])}{entries}"
    return f"**m = {_spaced(e['m'])}{kept}**: {e['corpus']}, {shape}{metric}, {e['threads']} thread{plural}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plot(entries: list[Entry], setup: dict[str, Any], path: Path) -> None:
    """Of fits, seconds per iteration; of calls, speed relative to the fastest peer; of losses, their fall."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    timed = [e for e in entries if "reason" not in e]
    draw = report_losses.lines if _by_losses(entries) else _bars if _by_calls(entries) else _lines
    figure = draw(timed, pyplot)
    if figure is not None:
        most = max(e["threads"] for e in timed)
        corpora = list(dict.fromkeys(e["corpus"] for e in timed))
        what = f"{corpora[0]}; " if len(corpora) == 1 else ""
        figure.suptitle(f"{what}{setup['machine']}, {most} threads", fontsize=11)
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
    colors = _style(names)
    for ax, (own, axis, label) in zip(axes[0], panels, strict=True):
        for name in names:
            line = sorted((e[axis], _seconds(e)) for e in own if e["library"] == name)
            if line and (axis == "m" or len(line) > 1):
                width = 2.6 if name.startswith("latom") else 1.3
                ax.plot(*zip(*line, strict=True), "o-", lw=width, ms=4, color=colors[name], label=name)
        ax.set(xscale="log", yscale="log", xlabel=label)
        ticks = sorted({e[axis] for e in own})
        ax.set_xticks(ticks, [_spaced(tick) for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.grid(which="major", alpha=0.3)
        if axis != "m":
            ax.set_title(f"m = {_spaced(own[0]['m'])}", fontsize=10)
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
    colors = _style(names)
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
            fastest = min((_seconds(other) for other in case if not _is_ours(other)), default=_seconds(e))
            place = groups.index(e["n"]) + (here.index(e["library"]) - (len(here) - 1) / 2) * width
            speed = fastest / _seconds(e)
            ax.bar(place, speed, width, color=colors[e["library"]])
            if _is_ours(e):  # upright, as the bars of latom and its variants touch
                ax.text(place, speed, f" {speed:.1f}×", rotation=90, ha="center", va="bottom", fontsize=7)
        ax.axhline(1.0, color="0.3", lw=0.8, ls="--")
        ax.margins(y=0.2)
        ax.set_xticks(range(len(groups)), [f"n = {_spaced(n)}" for n in groups])
        ax.grid(axis="y", alpha=0.3)
        ax.set_axisbelow(True)
        first = own[0]
        title = f"{TITLES.get(first['series'], first['series'])}\n" if len(panels) > 1 else ""
        kept = f", k = {first['k']}" if first.get("k") else ""
        ax.set_title(f"{title}d = {_spaced(first['d'])}, m = {_spaced(first['m'])}{kept}", fontsize=9)
    for row in axes:
        row[0].set_ylabel("speed, fastest peer = 1")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=colors[name]) for name in names]
    columns = max(3, min(5, 2 * across))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


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
