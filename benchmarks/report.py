"""Turn pytest-benchmark results into a table, a compact JSON file and a plot.

    python benchmarks/report.py RAW.json [MORE.json ...] [--output benchmarks/results] [--readme README.md]

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

import headlines
import report_everyday
import report_losses
from report_cells import (
    CASE,
    Entry,
    by_calls,
    by_case,
    by_losses,
    by_seeds,
    case_of,
    fastest_peer,
    heading,
    is_fair,
    is_ours,
    number,
    seconds,
    spaced,
)
from report_plots import plot

KEPT = (
    *CASE,
    *("library", "distribution", "version", "note", "how", "n_iter", "passes", "rounds", "fit_seconds"),
    *("seconds_per_iteration", "memory", "score_name", "score_format", "score"),
    *("sample", "operations", "peaks", "losses", "reference", "reason"),
)


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
        if setup and ("environment" in about) != ("environment" in setup):
            raise SystemExit(f"Of {path} and the others, some inherited an environment: measure these again.")
        setup = about
        for entry in found:
            key = (*case_of(entry), entry["library"])
            entries[key] = {name: entry[name] for name in KEPT if name in entry}
    return list(entries.values()), setup


def _from_benchmark(item: dict[str, Any]) -> Entry:
    """Entry of a raw result, with the times that pytest-benchmark itself took."""
    entry: Entry = dict(item["extra_info"])
    if entry["how"] == "losses":  # the benchmark timed a row of fits, which the entry holds one by one
        return entry | {"rounds": 1}
    if entry["how"] == "seeds":  # likewise: the entry has the median
        return entry
    own, stats = entry["fit_seconds"], item["stats"]
    if entry["how"] == "calls":  # by the clock of its own process: to ask for a short block takes time
        return entry | {"rounds": stats["rounds"]}
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


def _rows(entries: list[Entry], kind: str) -> list[list[str]]:
    """Table cells of one case: the measured from fast to slow, then the others."""
    timed = sorted((e for e in entries if "reason" not in e), key=seconds)
    fastest = fastest_peer(entries)
    ours: dict[str, float] = next((e["score"] for e in timed if e["library"] == "latom"), {})
    rows = []
    for e in timed:
        name = f"**{e['library']}**" if is_ours(e) else e["library"]
        speed = number(seconds(fastest) / seconds(e)) if fastest else ""
        speed += "" if is_ours(e) or is_fair(e, entries) else " †"
        if kind == "calls":
            own = _call_cells(e, speed)
        else:
            own = _seed_cells(e, speed, timed) if kind == "seeds" else _fit_cells(e, speed, ours)
        rows.append([name, *own, spaced(round(e["memory"] / 1e6))])
    width = len(_head(entries, kind))
    untimed = [[e["library"], e["reason"]] for e in entries if "reason" in e]
    return rows + [cells + [""] * (width - len(cells)) for cells in untimed]


def _head(entries: list[Entry], kind: str) -> list[str]:
    """Column names; those of `_rows`."""
    score = next((e["score_name"] for e in entries if "score_name" in e), "score")
    speed = "speed, fastest peer = 1"
    if kind == "calls":
        peaks: dict[str, Any] = next((e["peaks"] for e in entries if "peaks" in e), {})
        rate = ["GF/s"] if any("operations" in e for e in entries) else []
        own = ["ms / call", speed, *rate, *(f"of {precision} peak" for precision in peaks), score]
    elif kind == "seeds":
        own = ["s / fit (seeds)", speed, "iterations", score, "best = 1"]
    else:
        own = ["s / iteration", speed, "fit, s (iterations)", f"{score} (passes)", "latom's after as many"]
    return ["library", *own, "memory, MB"]


def _kind(entries: list[Entry]) -> str:
    if by_losses(entries):
        return "losses"
    return "calls" if by_calls(entries) else "seeds" if by_seeds(entries) else "fits"


def _seed_cells(e: Entry, speed: str, timed: list[Entry]) -> list[str]:
    best = min(other["score"]["1"] for other in timed)
    own = e["score"]["1"]
    return [
        f"{number(seconds(e))} ({e['rounds']})",
        speed,
        f"{e['n_iter']:g}",
        f"{own:{e['score_format']}}",
        f"{own / best if best else 1:.4f}",
    ]


def _fit_cells(e: Entry, speed: str, ours: dict[str, float]) -> list[str]:
    passes = str(e["passes"])
    shown = e.get("score_format", ".4f")
    return [
        number(seconds(e)) + ("" if e["how"] == "whole" else " *"),
        speed,
        f"{number(e['fit_seconds'])} ({e['n_iter']})",
        f"{e['score'][passes]:{shown}} ({passes})",
        f"{ours[passes]:{shown}}" if passes in ours else "",
    ]


def _call_cells(e: Entry, speed: str) -> list[str]:
    cells = [number(1e3 * seconds(e)), speed]
    if "operations" in e:
        rate = e["operations"] / seconds(e)
        cells += [
            number(rate / 1e9),
            *(f"{100 * rate / peak:.2g} %" for peak, _ in e.get("peaks", {}).values()),
        ]
    return [*cells, f"{e['score']['1']:{e['score_format']}}"]


def table(entries: list[Entry], setup: dict[str, Any]) -> str:
    """The whole Markdown page of one task."""
    kind = _kind(entries)
    lines = [f"# {entries[0]['task']} on {setup['machine']}", ""]
    lines += ["Written by `benchmarks/report.py`; the protocol is in `benchmarks/README.md`.", ""]
    if entries[0]["task"].startswith("everyday"):
        lines += report_everyday.summary(entries)
    for series in dict.fromkeys(e["series"] for e in entries):
        part = [e for e in entries if e["series"] == series]
        lines += [f"## {heading(part[0])}", ""]
        for members in by_case(part).values():
            head = report_losses.HEAD if kind == "losses" else _head(part, kind)
            lines += [_case_title(members[0]), "", _line(head), _line(["---"] + ["--:"] * (len(head) - 1))]
            rows = report_losses.rows(members) if kind == "losses" else _rows(members, kind)
            lines += [*map(_line, rows), ""]
    notes = {"calls": _call_notes, "seeds": _seed_notes, "fits": _fit_notes}
    lines += report_losses.notes() if kind == "losses" else notes[kind](entries, setup)
    lines += _environment_notes(setup)
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


def _environment_notes(setup: dict[str, Any]) -> list[str]:
    """What the processes inherited; nothing since the benchmarks set it themselves."""
    if "environment" not in setup:
        return ["Environment: inherited from the shell that measured."]
    quick = ["Measured with `--quick`: to see that all works."] if setup.get("quick") else []
    chosen = ", ".join(f"{name}={value}" for name, value in setup["environment"].items())
    return [
        *quick,
        "Environment: nothing inherited; as installed, but "
        + (f"with {chosen} where a library is called tuned." if chosen else "nothing to choose on this CPU."),
    ]


def _fair_note(entries: list[Entry]) -> list[str]:
    unfair = any(not is_fair(e, case) for case in by_case(entries).values() for e in case if "how" in e)
    return (
        ["† an answer that is not as good, or of a sample of the rows: it cannot be the fastest peer."]
        if unfair
        else []
    )


def _seed_notes(entries: list[Entry], setup: dict[str, Any]) -> list[str]:
    return [
        f"Medians over up to {setup['seeds']} seeds, as many as {setup['budget']:.0f} s last, after a fit "
        "that warms up; alike for latom and its peers. Fits end as each library ends them.",
        "Memory: peak of the process beyond library and problem as loaded.",
        *_fair_note(entries),
    ]


def _fit_notes(entries: list[Entry], setup: dict[str, Any]) -> list[str]:
    return [
        f"\\* a fit of {setup['iterations']} iterations would take over {setup['budget']:.0f} s: "
        "fewer were run, and their time divided by the assignment passes.",
        "Passes: assignment passes up to the labels that were scored. "
        "Memory: peak of the process beyond library and problem as loaded.",
        f"Rounds: {setup['rounds']} (median), of a peer that takes longer than the budget for them "
        f"{setup['peer_rounds']}, each after a fit of one iteration. A fit is ended, or not started, when "
        f"it passes {setup['limit']:.0f} s.",
        *_fair_note(entries),
    ]


def _call_notes(entries: list[Entry], setup: dict[str, Any]) -> list[str]:
    rounds = sorted({e["rounds"] for e in entries if "rounds" in e})
    times = f"{rounds[0]} to {rounds[-1]}" if len(rounds) > 1 else f"{rounds[0]}"
    counted = any("operations" in e for e in entries)
    notes = [
        f"ms / call: median of {times} blocks, each of as many calls as take {setup['block']:g} s, "
        "after calls that warm up; alike for latom and its peers.",
        *(["GF/s: operations of the plain algorithm, whatever a library really did."] if counted else []),
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
    return notes + _fair_note(entries)


def _case_title(e: Entry) -> str:
    entries = f", {spaced(e['nnz'])} entries" if e["nnz"] != e["n"] * e["d"] else ""
    kept = f", k = {e['k']}" if e.get("k") else ""
    metric = f", {e['metric']}" if e.get("metric") else ""
    plural = "" if e["threads"] == 1 else "s"
    shape = f"{spaced(e['n'])} × {spaced(e['d'])}{entries}"
    return f"**m = {spaced(e['m'])}{kept}**: {e['corpus']}, {shape}{metric}, {e['threads']} thread{plural}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="none: restate the README alone")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--readme", type=Path, help="restate the table of speeds in this file, from --output")
    arguments = parser.parse_args()
    if arguments.files:
        write(*read(arguments.files), arguments.output)
    if arguments.readme:
        headlines.restate(arguments.readme, arguments.output)


def write(entries: list[Entry], setup: dict[str, Any], output: Path) -> None:
    """Table, compact results and picture of each task, to the machine's folder."""
    folder = output / slug(setup["machine"])
    folder.mkdir(parents=True, exist_ok=True)
    for task in dict.fromkeys(e["task"] for e in entries):
        part = [e for e in entries if e["task"] == task]
        compact = {"setup": setup, "entries": part}
        (folder / f"{task}.json").write_text(json.dumps(compact, indent=1) + "\n")
        (folder / f"{task}.md").write_text(table(part, setup), encoding="utf-8")
        if any("reason" not in e for e in part):
            plot(part, setup, folder / f"{task}.png")
        print(folder / f"{task}.md")
    if any(e["task"].startswith("everyday") for e in entries):
        report_everyday.plot(folder, setup)


if __name__ == "__main__":
    main()
