"""What all reports share: which entries are of one case, which peer is its fastest, numbers and colors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tasks import TASKS

Entry = dict[str, Any]
CASE = ("task", "series", "corpus", "n", "d", "nnz", "m", "k", "metric", "threads")
TITLES = {
    "m": "number of clusters",
    "rows": "number of rows",
    "threads": "threads",
    "default fits": "KMeans(m, random_state=s).fit(X)",
    "mixtures": "ten iterations, few columns",
    "one-hot": "ten iterations, one-hot rows",
    "predict": "predict of a fitted model",
    "transform": "transform of a fitted model",
    "random": "random rows",
    "codes": "random codes",
    "activations": "MLP activations",
    "embeddings": "MiniLM embeddings",
    "topk embeddings": "embeddings against random unit atoms",
    "topk neighbors": "nearest neighbors among embeddings",
    "topk graph": "nearest neighbors of all rows",
    "neighbors graph": "TF-IDF of 140 256 abstracts",
    "neighbors words": "queries of 10 words, BM25 weights",
    "choices": "138 000 users, 27 000 items",
    "pairs": "138 000 users, 27 000 items",
    "svd sparse": "TF-IDF, 100 components",
    "powers graph": "Facebook pages",
    "ranks counts": "ranks times replicates",
    "label_shift fits": "20 000 rows, 20 domains, 30 cells, 10 classes; 20 starts beside one",
    "tokens": "documents of 188 tokens",
}


def title(entry: Entry) -> str:
    """What the cases of a series are, in words."""
    task, series = entry["task"], entry["series"]
    return TITLES.get(f"{task} {series}", TITLES.get(series, series))


def heading(entry: Entry) -> str:
    """The same at the head of a page or picture. Names of code stay as they are."""
    words = title(entry)
    return words if words.startswith(("predict", "transform")) else words[:1].upper() + words[1:]


def case_of(entry: Entry) -> tuple[Any, ...]:
    """What is the same for all entries of one case."""
    return tuple(entry.get(name) for name in CASE)


def by_case(entries: Iterable[Entry]) -> dict[tuple[Any, ...], list[Entry]]:
    """The entries of each case, in their order."""
    cases: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        cases.setdefault(case_of(entry), []).append(entry)
    return cases


def is_ours(entry: Entry) -> bool:
    return bool(entry["library"].startswith("latom"))


def seconds(entry: Entry) -> float:
    return float(entry["seconds_per_iteration"])


def by_calls(entries: list[Entry]) -> bool:
    return any(e.get("how") == "calls" for e in entries)


def by_losses(entries: list[Entry]) -> bool:
    return any(e.get("how") == "losses" for e in entries)


def by_seeds(entries: list[Entry]) -> bool:
    return any(e.get("how") == "seeds" for e in entries)


def is_fair(entry: Entry, case: list[Entry]) -> bool:
    """Whether a measured answer is as good as latom's in the same case, by the rule of its family.

    latom's is that after as many passes, where it is known. Without latom every answer will do, but never
    that of a sample of the rows.
    """
    if entry.get("sample"):
        return False
    ours = next((e["score"] for e in case if e["library"] == "latom" and e.get("score")), None)
    if ours is None or not entry.get("score"):
        return True
    passes = str(entry["passes"])
    last = max(ours, key=int)
    return TASKS[entry["task"]].fair(entry["score"][passes], ours.get(passes, ours[last]))


def fastest_peer(case: list[Entry]) -> Entry | None:
    """The fastest fair peer at any of its settings: what speeds are relative to."""
    peers = [e for e in case if "reason" not in e and not is_ours(e) and is_fair(e, case)]
    return min(peers, key=seconds, default=None)


def best_settings(entries: list[Entry]) -> list[Entry]:
    """Of each case latom's entries, and of each peer with a fair answer its fastest, by the peer's name."""
    kept = []
    for case in by_case(entries).values():
        best: dict[str, Entry] = {}
        for e in (e for e in case if "reason" not in e):
            name = e["library"] if is_ours(e) else e.get("distribution", e["library"])
            if is_fair(e, case) and (name not in best or seconds(e) < seconds(best[name])):
                best[name] = e | {"library": name}
        kept += best.values()
    return kept


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{float(f'{value:.3g}'):.{max(0, 2 - magnitude(value))}f}"


def spaced(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def magnitude(value: float) -> int:
    return int(f"{value:e}".split("e")[1]) if value > 0 else 0


def style(names: list[str]) -> dict[str, str]:
    """Color of each library: black for latom, greys for its variants."""
    peers = [name for name in names if not name.startswith("latom")]
    ours = [name for name in names if name.startswith("latom") and name != "latom"]
    colors = {name: f"C{number % 10}" for number, name in enumerate(peers)}
    return colors | {"latom": "black"} | {name: "0.5" for name in ours}
