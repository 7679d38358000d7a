"""Seeding beside its peers: seconds, potential at once and after Lloyd iterations, over many seeds.

    LATOM_DATA=/folder/with/data python benchmarks/seeding.py [--clusters 20 100 ...] [--libraries NAME ...]

Each library draws in a process of its own (`runner.py`), from as many seeds as its budget allows, at least
one; seconds are medians. Where a smaller case predicts more than the limit, it is not run. From every draw
latom iterates 5 and 20 times; costs are medians over the seeds, relative to those of scikit-learn's greedy
default where it ran. Writes `results/<machine>/seeding.{json,md,png}` and `seeding_cost.png`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cpuinfo import get_cpu_info  # with pytest-benchmark
from data import Problem, dense_corpus, kdd, mnist, save, skin, sparse_corpus
from measure import Case
from peers import SEEDING
from report import machine_name, slug
from runner import NotMeasured, Worker, available_cpus

import latom

Entry = dict[str, Any]
REFERENCE = "scikit-learn"
COMPARED = ("latom", "latom, estimators' start", REFERENCE)  # with as many seeds as asked for
ITERATIONS = (5, 20)


def corpora() -> dict[str, Callable[[], tuple[Any, str]]]:
    """Name -> rows and metric."""
    return {
        "arXiv": lambda: (sparse_corpus().X, "cosine"),
        "MiniLM": lambda: (dense_corpus().X, "cosine"),
        "KDD": lambda: (kdd().X, "euclidean"),
        "skin": lambda: (skin().X, "euclidean"),
        "MNIST": lambda: (mnist().X, "euclidean"),
    }


def costs(problem: Problem, start: np.ndarray) -> list[float]:
    """Potential of the rows drawn, or of centers, and the objective after 5 and 20 iterations from them."""
    metric = str(problem["metric"])
    kind = latom.KMeans if metric == "euclidean" else latom.SphericalKMeans
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        init = problem["X"][start] if start.ndim == 1 else start
        model = kind(len(start), init=init, n_init=1, max_iter=ITERATIONS[-1], tol=0.0)
        model.fit(problem["X"])
    # An iteration's objective is that of the centers it began with.
    objective = [*model.history_["objective"], model.inertia_]
    found = [float(objective[min(n_iter, len(objective) - 1)]) for n_iter in (0, *ITERATIONS)]
    return found if metric == "euclidean" else [2 * cost for cost in found]


def draws(problem: Problem, library: str, m: int) -> float | None:
    """Draws a center that latom's seedings made from seed 0; None where a method does not count them."""
    peer = SEEDING[library]
    if getattr(peer, "function", "") != "kmeans_plusplus":
        return None
    options = peer.arguments | {"metric": str(problem["metric"]), "random_state": 0}
    return float(latom.kmeans_plusplus(problem["X"], m, return_stats=True, **options)[2]["trials"] / m)


def measure(case: Case, library: str, options: argparse.Namespace, expected: float) -> Entry:
    """Draws from seeds 0, 1, ... while the budget lasts; costs of the first ones."""
    entry: Entry = case.describe() | {"library": library, "note": SEEDING[library].note}
    if expected > options.limit:
        return entry | {"reason": f"about {expected:.0f} s expected"}
    runs: list[float] = []
    scored: list[list[float]] = []
    try:
        with Worker("seeding", library, case.folder, case.threads, SEEDING[library].environment) as worker:
            while len(runs) < options.seeds and (not runs or sum(runs) + runs[-1] < options.budget):
                done = worker.fit(len(runs), 3 * options.limit)
                runs.append(done.seconds)
                most = options.scored if library in COMPARED else 3
                if len(runs) <= max(1, most // max(1, entry["m"] // 200)):
                    scored.append(costs(case.problem, worker.output()))
            version = worker.version
    except NotMeasured as reason:
        return entry | {"reason": str(reason)}
    middle = statistics.median(runs)
    return entry | {
        "version": version,
        "seconds": middle,
        "seeds": len(runs),
        "memory": done.memory,
        "scored": len(scored),
        "draws": draws(case.problem, library, entry["m"]),
        "costs": [statistics.median(column) for column in zip(*scored, strict=True)],
    }


def table(entries: list[Entry], machine: str) -> str:
    """The Markdown page."""
    lines = [f"# seeding on {machine}", "", "Written by `benchmarks/seeding.py`; see its head.", ""]
    head = [
        "library",
        "s (seeds)",
        "speed, fastest peer = 1",
        "potential",
        "after 5",
        "after 20",
        "draws per center",
        "memory, MB",
    ]
    for case in dict.fromkeys((e["corpus"], e["m"]) for e in entries):
        own = [e for e in entries if (e["corpus"], e["m"]) == case]
        timed = sorted((e for e in own if "reason" not in e), key=lambda e: e["seconds"])
        peers = [e["seconds"] for e in timed if not e["library"].startswith("latom")]
        reference = next((e for e in timed if e["library"] == REFERENCE), timed[0])
        shape = f"{own[0]['n']} × {own[0]['d']}"
        lines += [
            f"## {case[0]} ({shape}), m = {case[1]}",
            "",
            f"Costs relative to {reference['library']}.",
            "",
        ]
        lines += ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        for e in timed:
            name = f"**{e['library']}**" if e["library"].startswith("latom") else e["library"]
            name = name.replace("|", "\\|")
            speed = f"{min(peers) / e['seconds']:.3g}" if peers else ""
            relative = [f"{a / b:.4f}" for a, b in zip(e["costs"], reference["costs"], strict=True)]
            drawn = f"{e['draws']:.2f}" if e.get("draws") else ""
            cells = [name, f"{e['seconds']:.3g} ({e['seeds']})", speed, *relative, drawn]
            cells.append(f"{e['memory'] / 1e6:.0f}")
            lines.append("| " + " | ".join(cells) + " |")
        lines += [f"| {e['library']} | {e['reason']} |" for e in own if "reason" in e]
        lines.append("")
    notes = {e["library"]: e["note"] for e in entries}
    return "\n".join([*lines, *(f"- {name}: {note}" for name, note in notes.items() if note), ""])


def plot(entries: list[Entry], machine: str, folder: Path) -> None:
    """Seconds against clusters, and cost after 20 iterations against seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    timed = [e for e in entries if "reason" not in e]
    names = [name for name in SEEDING if any(e["library"] == name for e in timed)]
    peers = [name for name in names if not name.startswith("latom")]
    colors = {name: f"C{k}" for k, name in enumerate(peers)}
    ours = [name for name in names if name.startswith("latom")]
    markers = dict.fromkeys(names, "o") | dict(zip(ours, "os^vDP*X", strict=False))
    shown = list(dict.fromkeys(e["corpus"] for e in timed))

    def panels(width: float) -> Any:
        return pyplot.subplots(
            1, len(shown), figsize=(width * len(shown), 4.6), squeeze=False, layout="constrained"
        )

    figure, axes = panels(3.1)
    for ax, corpus in zip(axes[0], shown, strict=True):
        for name in names:
            line = sorted(
                (e["m"], e["seconds"]) for e in timed if (e["corpus"], e["library"]) == (corpus, name)
            )
            if line:
                style = {"color": colors.get(name, "black"), "marker": markers[name], "ms": 4}
                ax.loglog(*zip(*line, strict=True), label=name, lw=2 if name == "latom" else 1, **style)
        ax.set_title(corpus, fontsize=10)
        ax.set_xlabel("centers")
        ax.grid(alpha=0.3)
    axes[0][0].set_ylabel("seconds")
    figure.suptitle(f"Seeding: seconds against centers; {machine}", fontsize=11)
    _legend(figure, axes)
    figure.savefig(folder / "seeding.png", dpi=150)

    shown = [corpus for corpus in shown if any((e["corpus"], e["m"]) == (corpus, 100) for e in timed)]
    if not shown:
        return
    figure, axes = panels(3.1)
    for ax, corpus in zip(axes[0], shown, strict=True):
        own = [e for e in timed if e["corpus"] == corpus and e["m"] == 100]
        best = min((e["costs"][2] for e in own), default=1.0)
        for e in own:
            style = {"color": colors.get(e["library"], "black"), "marker": markers[e["library"]], "ms": 6}
            ax.semilogx(e["seconds"], 100 * (e["costs"][2] / best - 1), ls="", label=e["library"], **style)
        ax.set_title(corpus, fontsize=10)
        ax.set_xlabel("seconds")
        ax.grid(alpha=0.3)
    axes[0][0].set_ylabel("objective after 20 iterations, % above the best")
    figure.suptitle(f"Seeding: 100 centers, cost against time; {machine}", fontsize=11)
    _legend(figure, axes)
    figure.savefig(folder / "seeding_cost.png", dpi=150)


def _legend(figure: Any, axes: Any) -> None:
    """One legend for all panels."""
    found: dict[str, Any] = {}
    for ax in axes.flat:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    place = {"loc": "outside lower center", "ncols": 4, "frameon": False, "fontsize": 8}
    figure.legend(found.values(), found.keys(), **place)


def main() -> None:
    """Measure, then write the page and its pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpora", nargs="*", default=None)
    parser.add_argument("--libraries", nargs="*", default=list(SEEDING))
    parser.add_argument("--clusters", nargs="*", type=int, default=[20, 100, 1000, 10_000])
    parser.add_argument("--seeds", type=int, default=10, help="most draws a case and library")
    parser.add_argument(
        "--scored", type=int, default=10, help="of which so many are iterated from, fewer at large m"
    )
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of draws a case and library")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of one draw")
    parser.add_argument("--merge", type=Path, nargs="*", default=[], help="earlier JSON files; this run wins")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    known: dict[tuple[Any, ...], Entry] = {}
    for path in options.merge:
        for e in json.loads(path.read_text())["entries"]:
            known[e["corpus"], e["m"], e["library"]] = e
    for name, read in corpora().items():
        if options.corpora is not None and name not in options.corpora:
            continue
        X, metric = read()
        for m in options.clusters:
            problem = {"X": X, "m": np.array(m), "metric": np.array(metric)}
            with tempfile.TemporaryDirectory(prefix="latom-bench-") as folder:
                save(problem, Path(folder))
                case = Case("seeding", "m", Path(folder), problem, name, available_cpus())
                for library in options.libraries:
                    if m >= X.shape[0]:
                        continue
                    smaller = [e for key, e in known.items() if key[::2] == (name, library) and key[1] < m]
                    largest = max(smaller, key=lambda e: e["m"], default={})
                    expected = largest.get("seconds", 0.0) * m / largest.get("m", 1)
                    e = measure(case, library, options, expected)
                    known[name, m, library] = e
                    print(name, m, library, {k: e.get(k) for k in ("seconds", "costs", "reason")}, flush=True)
    entries = sorted(known.values(), key=lambda e: (list(corpora()).index(e["corpus"]), e["m"]))
    machine = machine_name(get_cpu_info(), available_cpus())
    folder = options.output / slug(machine)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seeding.json").write_text(
        json.dumps({"machine": machine, "entries": entries}, indent=1) + "\n"
    )
    (folder / "seeding.md").write_text(table(entries, machine), encoding="utf-8")
    plot(entries, machine, folder)
    print(folder / "seeding.md")


if __name__ == "__main__":
    main()
