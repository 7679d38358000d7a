"""Search by a score that is too costly to compute for all items: CUR beside cheap rankers, by scores spent.

    LATOM_DATA=/folder/with/data python examples/search_by_costly_scores.py
    python examples/search_by_costly_scores.py --plot found.png           # on token vectors made up here

Two scores stand for costly ones. MaxSim is that of late-interaction models: each token of the query finds
its most similar token of the item. The other is the overlap of texts, the Jaccard index of their sets of
three letters, which edit distances follow. Compared by the share of the true 1, 10, 50 and 100 best items
(the first is the query itself) found with so many scores per query: items by chance; ANNCUR (Yadav et al.
2022) and ADACUR (Yadav et al. 2023), which estimate the other scores from those of anchors; and two cheap
rankers whose best are scored: TF-IDF of the texts, and the cosine of mean-pooled token vectors. The papers'
claims: ADACUR ahead of ANNCUR, and both ahead of TF-IDF with as many scores. A ranker that knows what the
score looks at, as mean pooling does for MaxSim and TF-IDF for the overlap, is a stronger rival than theirs.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from latom import CURSearch

TOPS = (1, 10, 50, 100)
ORDER = ("by chance", "TF-IDF", "ANNCUR", "ADACUR", "mean pooling")


def read(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(unit token vectors, first token of each sentence, texts)."""
    with np.load(path) as file:
        vectors, sentence, texts = file["residual"].astype(np.float32), file["sentence"], file["text"]
    starts = np.flatnonzero(np.append(True, sentence[1:] != sentence[:-1]))
    return unit(vectors), starts, list(map(str, texts[sentence[starts]]))


def made_up(sentences: int = 240) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Tokens of a few topics per sentence, each a word's vector and a little of its own."""
    rng = np.random.default_rng(0)
    words = rng.standard_normal((300, 32)) + 2 * rng.standard_normal((30, 32))[np.arange(300) // 10]
    lengths = rng.integers(5, 15, sentences)
    topics = rng.integers(0, 30, (sentences, 2))
    sentence = np.repeat(np.arange(sentences), lengths)
    word = 10 * topics[sentence, rng.integers(0, 2, len(sentence))] + rng.integers(0, 10, len(sentence))
    vectors = words[word] + 0.5 * rng.standard_normal((len(word), 32))
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    texts = [" ".join(f"w{w}" for w in part) for part in np.split(word, starts[1:])]
    return unit(vectors.astype(np.float32)), starts, texts


def unit(X: np.ndarray) -> np.ndarray:
    return X / np.maximum(np.linalg.norm(X, axis=-1, keepdims=True), 1e-9)


def max_sim(vectors: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """MaxSim of all sentences with all, per token of the query."""
    ends = [*starts[1:], len(vectors)]
    scores = np.empty((len(starts), len(starts)), np.float32)
    for i, (begin, end) in enumerate(zip(starts, ends, strict=True)):
        scores[i] = np.maximum.reduceat(vectors[begin:end] @ vectors.T, starts, axis=1).mean(axis=0)
    return scores


def overlap(texts: list[str]) -> np.ndarray:
    """Jaccard indexes of all texts with all, of the sets of three letters that are in them."""
    from sklearn.feature_extraction.text import CountVectorizer

    sets = CountVectorizer(analyzer="char_wb", ngram_range=(3, 3), binary=True, dtype=np.float32)
    held = sets.fit_transform(texts)
    common, size = (held @ held.T).toarray(), np.asarray(held.sum(axis=1)).ravel()
    return common / (size[:, None] + size - common)


class BlackBox:
    """The score as a search sees it; counts what it is asked for."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores, self.calls = scores, 0

    def __call__(self, query: int, items: np.ndarray) -> np.ndarray:
        self.calls += len(items)
        return self.scores[query, items]


def recalls(scores: np.ndarray, found: np.ndarray) -> list[float]:
    """Shares of the true best among those found, best first; NaN where fewer were scored."""
    true = np.argsort(-scores, axis=1, kind="stable")
    pairs = list(zip(true, found, strict=True))
    return [
        float(np.mean([np.isin(a[:k], b[:k]).mean() for a, b in pairs])) if k <= found.shape[1] else np.nan
        for k in TOPS
    ]


def scored_best(scores: np.ndarray, ranking: np.ndarray, budget: int) -> np.ndarray:
    """The first `budget` of each ranking, by their scores."""
    items = ranking[:, :budget]
    order = np.argsort(-np.take_along_axis(scores, items, axis=1), axis=1, kind="stable")
    return np.take_along_axis(items, order, axis=1)


def cheap_rankings(
    vectors: np.ndarray, starts: np.ndarray, texts: list[str], queries: np.ndarray
) -> dict[str, np.ndarray]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    pooled = unit(np.add.reduceat(vectors, starts, axis=0))
    terms = TfidfVectorizer(token_pattern=r"\w+").fit_transform(texts)
    rng = np.random.default_rng(0)
    return {
        "by chance": np.argsort(rng.random((len(queries), len(texts))), axis=1),
        "TF-IDF": np.argsort(-(terms[queries] @ terms.T).toarray(), axis=1, kind="stable"),
        "mean pooling": np.argsort(-(pooled[queries] @ pooled.T), axis=1, kind="stable"),
    }


def compared(
    scores: np.ndarray, queries: np.ndarray, anchors: np.ndarray, cheap: dict[str, np.ndarray], arguments
) -> dict[str, list[list[float]]]:
    """Shares of the best items that each way finds, for each budget and each of TOPS."""
    true, n = scores[queries], len(scores)
    rows = {
        name: [recalls(true, scored_best(true, ranking, budget)) for budget in arguments.budgets]
        for name, ranking in cheap.items()
    }
    for name, rounds in (("ANNCUR", 1), ("ADACUR", arguments.rounds)):
        rows[name] = []
        for budget in arguments.budgets:
            box = BlackBox(scores)
            few = max(rounds, int(arguments.anchor_share * budget))
            search = CURSearch(
                box, n, n_anchor_items=few, rounds=rounds, ridge=arguments.ridge, random_state=0
            ).fit(anchors)
            before = box.calls
            _, found, calls = search.search(queries, min(max(TOPS), budget), budget)
            assert box.calls - before == calls.sum() == budget * len(queries)
            rows[name].append(recalls(true, found))
    return rows


def tell(title: str, budgets: list[int], rows: dict[str, list[list[float]]]) -> None:
    """One table for a score: columns are the best items, for each budget."""
    print(f"\n{title}")
    print(f"{'':14s}" + "".join(f"{f'{budget} scores':^32s}" for budget in budgets))
    print(f"{'':14s}" + "".join("".join(f"{f'top {k}':>8s}" for k in TOPS) for _ in budgets))
    for name in ORDER:
        cells = (
            f"{value:8.3f}" if value == value else f"{'-':>8s}" for found in rows[name] for value in found
        )
        print(f"{name:14s}" + "".join(cells))
    for better, worse in (("ADACUR", "ANNCUR"), ("ADACUR", "TF-IDF"), ("ADACUR", "mean pooling")):
        one, other = np.array(rows[better]), np.array(rows[worse])
        told = ~np.isnan(one)
        print(f"{better} ahead of {worse} in {(one > other)[told].sum()} of {told.sum()} cells")


def plot(path: str, budgets: list[int], tables: dict[str, dict[str, list[list[float]]]]) -> None:
    """Shares of the best items that are found against the scores that are spent."""
    import matplotlib.pyplot as plt

    size = {"figsize": (3.2 * len(TOPS), 3.2 * len(tables)), "sharey": True, "squeeze": False}
    figure, grid = plt.subplots(len(tables), len(TOPS), layout="constrained", **size)
    for axes, (title, rows) in zip(grid, tables.items(), strict=True):
        for column, (ax, top) in enumerate(zip(axes, TOPS, strict=True)):
            for name in ORDER:
                dashed = "-" if name in ("ANNCUR", "ADACUR") else "--"
                ax.plot(budgets, [values[column] for values in rows[name]], dashed, marker="o", label=name)
            best = "the best" if top == 1 else f"the {top} best"
            ax.set(title=f"{title}: {best}", xlabel="scores per query", xticks=budgets)
        axes[0].set_ylabel("share found")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(ORDER))
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budgets", type=int, nargs="+", default=[50, 100, 200], help="scores per query")
    parser.add_argument("--anchor-share", type=float, default=0.5, help="of the budget, for anchor items")
    parser.add_argument("--rounds", type=int, default=5, help="of ADACUR")
    parser.add_argument("--ridge", type=float, default=0.002)
    parser.add_argument("--plot", metavar="FILE", help="draw the tables")
    arguments = parser.parse_args()
    path = Path(os.environ.get("LATOM_DATA", ""), "minilm-activations.npz")
    vectors, starts, texts = read(path) if path.is_file() else made_up()
    n = len(texts)
    order = np.random.default_rng(0).permutation(n)
    anchors, queries = order[: n // 2], order[n // 2 :]
    print(f"{n:,} items, {len(anchors):,} anchor queries, {len(queries):,} queries")
    cheap = cheap_rankings(vectors, starts, texts, queries)
    tables = {}
    for title, score in (("MaxSim", lambda: max_sim(vectors, starts)), ("overlap", lambda: overlap(texts))):
        start = time.perf_counter()
        scores = score()
        seconds = time.perf_counter() - start
        tables[title] = compared(scores, queries, anchors, cheap, arguments)
        tell(f"{title}, all scores took {seconds:.1f} s", arguments.budgets, tables[title])
    if arguments.plot:
        plot(arguments.plot, arguments.budgets, tables)


if __name__ == "__main__":
    main()
