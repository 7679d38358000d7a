"""The README's table of speeds, written from the results and never by hand; `report.py --readme` calls it.

A row is a series of cases, of which all count: how many times faster latom is than the fastest peer at its
best setting in the case where it gains least, in the geometric mean, and where it gains most. Only whole
results of processes that inherited nothing are told (`machine.py`), not those of `--quick`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from report_cells import Entry, by_case, by_losses, fastest_peer, is_ours, number, seconds, title
from report_losses import goal, reached

BEGIN = "<!-- measured: written by benchmarks/report.py --readme -->"
END = "<!-- end of what was measured -->"
HEAD = ["", "cases", "least", "mean", "most", "fastest peers, at their best settings"]
OURS = {"latom": "", "latom-packed": ", atoms packed beforehand"}  # as many peers have them
NAMES = {
    "sparse_kmeans": "k-means, sparse",
    "dense_kmeans": "k-means, dense",
    "everyday_fit": "everyday k-means",
    "everyday_iterations": "everyday k-means",
    "everyday_predict": "everyday k-means",
    "everyday_transform": "everyday k-means",
    "topk": "top-k",
    "decode": "decoding",
    "pairs": "BPR",
    "omp": "orthogonal matching pursuit",
    "plain_pursuit": "matching pursuit",
    "train": "training steps",
    "neighbors": "sparse neighbors",
    "svd": "truncated SVD",
    "powers": "FastRP's products",
    "ranks": "NMF",
    "label_shift": "latent label shift",
    "pooling": "token pooling",
    "hierarchy": "hierarchical k-means",
    "silhouette": "silhouette",
    "semi_nmf": "semi-NMF",
    "als": "implicit ALS",
    "recommend": "recommendations",
    "completion": "matrix completion",
    "nmf": "NMF",
    "nmf_kl": "NMF, Kullback-Leibler",
    "nmf_replicates": "NMF, many starts",
}


def speed(case: list[Entry], library: str = "latom") -> tuple[float, str] | None:
    """How many times faster latom is than the fastest peer, and which that is; None where one has no time."""
    ours = next((e for e in case if e["library"] == library and "reason" not in e), None)
    if by_losses(case):
        loss = goal(case)
        ends = {e["library"]: reached(e, loss) for e in case if "losses" in e and not is_ours(e)}
        times = {name: end[1] for name, end in ends.items() if end is not None}
        own = reached(ours, loss) if ours else None
        if own is None or not times:
            return None
        first = min(times, key=lambda name: times[name])
        return times[first] / own[1], first
    peer = fastest_peer(case)
    if ours is None or peer is None:
        return None
    return seconds(peer) / seconds(ours), peer["library"]


def block(results: Path) -> str:
    """What stands between the marks: a table per machine, or nothing where nothing was measured so."""
    parts = []
    for folder in sorted(path for path in results.iterdir() if path.is_dir()):
        rows: list[list[str]] = []
        machine = ""
        for task, name in NAMES.items():
            path = folder / f"{task}.json"
            content = json.loads(path.read_text()) if path.exists() else {"setup": {}}
            if "environment" not in content["setup"] or content["setup"].get("quick"):
                continue
            machine = content["setup"]["machine"]
            for series in dict.fromkeys(e["series"] for e in content["entries"]):
                part = [e for e in content["entries"] if e["series"] == series]
                for library, words in OURS.items():
                    found = [pair for case in by_case(part).values() if (pair := speed(case, library))]
                    if found:
                        link = (
                            f"[{name}: {title(part[0])}{words}](benchmarks/results/{folder.name}/{task}.md)"
                        )
                        rows.append([link, *_cells(found)])
        if rows:
            lines = [HEAD, ["---", *["--:"] * 4, "---"], *rows]
            parts += [
                f"{machine}; the fastest peer = 1:",
                "",
                *(f"| {' | '.join(row)} |" for row in lines),
                "",
            ]
    if not parts:
        return ""
    return "\n".join(["## Beside its peers", "", *parts])


def _cells(found: list[tuple[float, str]]) -> list[str]:
    speeds = [pair[0] for pair in found]
    mean = math.exp(sum(map(math.log, speeds)) / len(speeds))
    peers = ", ".join(dict.fromkeys(pair[1] for pair in sorted(found, key=lambda pair: pair[1])))
    return [str(len(found)), *(f"{number(v)}×" for v in (min(speeds), mean, max(speeds))), peers]


def restate(readme: Path, results: Path) -> None:
    """Write the block into a README, between its marks."""
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{readme} must hold each of these lines once: {BEGIN} and {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    own = block(results)
    readme.write_text(f"{before}{BEGIN}\n{own}{END}{after}", encoding="utf-8")
