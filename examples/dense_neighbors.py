"""Exact neighbors of dense rows: agreement of two models, hard negatives, thresholds per row, labels spread.

    python examples/dense_neighbors.py                     # generated embeddings
    LATOM_DATA=folder python examples/dense_neighbors.py   # arXiv abstracts: MiniLM, and TF-IDF by its SVD
    LATOM_DATA=folder python examples/dense_neighbors.py --plot neighbors.png

What is claimed, and what this shows:
- two models agree on a row as far as its neighbors are the same in both, and where they agree they are right
  more often ("Great models think alike: improving model reliability via inter-model latent agreement", 2023);
- negatives that are near train better than random ones (STAR and ADORE, Zhan et al. 2021), which needs the
  nearest rows of another class, for all rows, again and again: the seconds are what they cost, and their
  cosines tell how hard they are;
- cosines mean different things for different queries, so a threshold for each filters better than one for all
  ("Relevance filtering for embedding-based retrieval", 2024, which learns it; here it lies a margin below the
  best cosine of the query): `above` takes one number per row;
- the graph spreads few labels over many rows (Zhu & Ghahramani, 2002; it is also what LargeVis and TLDR start
  from).
Relevant is here who has the same category.
"""

from __future__ import annotations

import argparse
import lzma
import os
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from latom import TruncatedSVD
from latom.neighbors import DenseIndex

K = 10


def generated(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows of one model, of another, categories): 20 groups of unlike width, seen with unlike noise."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 20, n)
    wide = rng.uniform(0.6, 1.6, 20)[y, None]
    hidden = rng.normal(size=(20, 24))[y] + wide * rng.normal(size=(n, 24))
    views = [hidden @ rng.normal(size=(24, d)) + rng.normal(size=(n, d)) for d in (48, 32)]
    return views[0].astype(np.float32), views[1].astype(np.float32), y


def abstracts(folder: Path, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for n abstracts: columns of MiniLM, and as many of an SVD of TF-IDF; primary categories."""
    rows = np.load(folder / "arxiv-minilm-rows.npy")
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:n])
    A = np.load(folder / "arxiv-minilm.npy")[chosen].astype(np.float32)
    with np.load(folder / "arxiv-counts.npz") as stored:
        parts = stored["data"], stored["indices"], stored["indptr"]
        counts = sp.csr_array(parts, shape=tuple(stored["shape"]))
    idf = np.log((1 + counts.shape[0]) / (1 + np.bincount(counts.indices, minlength=counts.shape[1]))) + 1
    part = sp.csr_array(counts[rows[chosen]].astype(np.float32))
    part.data = ((1 + np.log(part.data)) * idf[part.indices]).astype(np.float32)
    part.data /= np.repeat(np.sqrt(part.multiply(part).sum(axis=1)), np.diff(part.indptr)).astype(np.float32)
    B = TruncatedSVD(A.shape[1], random_state=0).fit_transform(part)
    with lzma.open(folder / "arxiv-meta.tsv.xz", "rt") as lines:
        category = np.array([line.split("\t")[1] for line in lines])[-counts.shape[0] :]
    return A, B, np.unique(category[rows[chosen]], return_inverse=True)[1]


def vote(y: np.ndarray, lists: np.ndarray) -> np.ndarray:
    """The most frequent category among neighbors, the lowest of several."""
    return np.array([np.bincount(y[row]).argmax() for row in lists])


def agreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of the neighbors of each row that are the same in both lists."""
    n = len(one)
    keys = [np.sort((np.arange(n)[:, None] * n + lists).ravel()) for lists in (one, other)]
    both = np.intersect1d(*keys, assume_unique=True)
    return np.bincount(both // n, minlength=n) / one.shape[1]


def hard_negatives(index: DenseIndex, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cosines with the K nearest rows of another category: one search for each category."""
    found = np.empty((len(X), K), np.float32)
    for label in np.unique(y):
        own = y == label
        found[own] = index.search(X[own], K, allowed=~own)[0]
    return found


def thresholds(
    index: DenseIndex, X: np.ndarray, y: np.ndarray, cosines: np.ndarray
) -> list[tuple[float, ...]]:
    """What :func:`measured` gives for one threshold, and for one per row with as many answers in all."""
    made = index.above(X, float(np.median(cosines[:, K - 1])), exclude_self=True)
    low, high = 0.0, 1.0
    for _ in range(8):
        margin = (low + high) / 2
        other = index.above(X, cosines[:, 0] - margin, exclude_self=True)
        low, high = (margin, high) if other.nnz < made.nnz else (low, margin)
    return [measured(matches, y) for matches in (made, other)]


def measured(matches: sp.csr_array, y: np.ndarray) -> tuple[float, ...]:
    """Answers per row; shares of rows with one, of rows with a relevant one, of answers that are relevant."""
    counts = np.diff(matches.indptr)
    row = np.repeat(np.arange(len(y)), counts)
    right = y[matches.indices] == y[row]
    some = np.bincount(row, right, minlength=len(y)) > 0
    return counts.mean(), (counts > 0).mean(), some.mean(), right.mean()


def spread(
    y: np.ndarray, cosines: np.ndarray, lists: np.ndarray, known: np.ndarray, rounds: int = 30
) -> np.ndarray:
    """Categories of all rows from those of a few: each takes what its neighbors hold, the few keep theirs."""
    n = len(y)
    weights = np.maximum(cosines, 0).ravel() ** 4
    graph = sp.csr_array((weights, lists.ravel(), np.arange(0, n * K + 1, K)), shape=(n, n))
    graph = sp.csr_array(graph + graph.T)
    graph.data /= np.repeat(np.asarray(graph.sum(axis=1)).ravel(), np.diff(graph.indptr))
    start = np.zeros((n, y.max() + 1), np.float32)
    start[known, y[known]] = 1
    held = start
    for _ in range(rounds):
        held = graph @ held
        held[known] = start[known]
    return held.argmax(axis=1)


def plot(path: Path, same: np.ndarray, right: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> None:
    """How often a vote is right against agreement; cosines of neighbors and of hard and random negatives."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
    shares = np.arange(K + 1) / K
    at = np.rint(same * K).astype(int)
    counts = np.bincount(at, minlength=K + 1)
    enough = counts >= 20
    rate = np.bincount(at, right, minlength=K + 1)[enough] / counts[enough]
    axes[0].plot(shares[enough], rate, "o-", color="#c2512f")
    axes[0].set(xlabel=f"share of the {K} neighbors that both models have", ylabel="votes that are right")
    axes[0].set_ylim(0, 1)
    axes[0].set_title("where models agree they are right", fontsize=11)
    twin = axes[0].twinx()
    twin.bar(shares, counts / counts.sum(), 0.06, color="#9a958c", alpha=0.35)
    twin.set(ylabel="share of rows", ylim=(0, 1))
    bins = np.linspace(min(negative.min(), 0), 1, 60)
    for values, name, color in (
        (positive, f"{K} nearest", "#2f6f9f"),
        (negative, f"{K} nearest of another category", "#c2512f"),
    ):
        axes[1].hist(values.ravel(), bins, density=True, alpha=0.6, color=color, label=name)
    axes[1].set(xlabel="cosine", ylabel="density")
    axes[1].set_title("hard negatives are almost as near", fontsize=11)
    axes[1].set_ylim(0, 1.25 * axes[1].get_ylim()[1])
    axes[1].legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=20_000, help="rows (20000)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw agreement and negatives")
    options = parser.parse_args()
    folder = os.environ.get("LATOM_DATA")
    real = folder and (Path(folder) / "arxiv-minilm.npy").exists()
    A, B, y = abstracts(Path(folder), options.n) if real else generated(min(options.n, 4000))
    n, rng = len(y), np.random.default_rng(1)
    print(f"{n} rows, {A.shape[1]} and {B.shape[1]} columns, {y.max() + 1} categories")

    index = DenseIndex(A)
    start = time.perf_counter()
    cosines, near = index.search(A, K, exclude_self=True)
    print(f"\nexact graph of {K} neighbors: {time.perf_counter() - start:.1f} s")
    there = DenseIndex(B).search(B, K, exclude_self=True)[1]
    ours, theirs = vote(y, near) == y, vote(y, there) == y
    usual = np.bincount(y).max() / n
    print(
        f"votes right: first model {ours.mean():.3f}, second {theirs.mean():.3f}; "
        f"the most frequent category {usual:.3f}"
    )

    same = agreement(near, there)
    print(f"\nof {K} neighbors both models have {K * same.mean():.2f}; by chance {K * K / (n - 1):.3f}")
    print("agreement of a row     rows  votes right")
    for low, high in ((0.0, 0.0), (0.1, 0.2), (0.3, 0.4), (0.5, 1.0)):
        kept = (same >= low - 1e-9) & (same <= high + 1e-9)
        print(f"{low:.1f} to {high:.1f} {kept.sum():17d} {ours[kept].mean() if kept.any() else np.nan:12.3f}")

    start = time.perf_counter()
    negative = hard_negatives(index, A, y)
    seconds = time.perf_counter() - start
    drawn = rng.integers(0, n, (n, K))
    unit = A / np.linalg.norm(A, axis=1, keepdims=True)
    random = np.einsum("ij,ikj->ik", unit[:2000], unit[drawn[:2000]])
    print(f"\n{K} hard negatives of each row, found in {seconds:.1f} s: mean cosine {negative.mean():.3f};")
    print(
        f"of the {K} nearest rows of any category {cosines.mean():.3f}, of rows drawn by chance "
        f"{random.mean():.3f}"
    )
    print(f"rows whose nearest row is of another category: {(y[near[:, 0]] != y).mean():.3f}")

    print("\nanswers above a cosine    per row  rows with any  with a right one  right of all")
    for name, (count, any_, some, share) in zip(
        ("one threshold for all", "one for each row"), thresholds(index, A, y, cosines), strict=True
    ):
        print(f"{name:22} {count:10.1f} {any_:14.3f} {some:17.3f} {share:13.3f}")

    print("\nlabels known    spread over the graph   vote among the known")
    for share in (0.01, 0.05, 0.2):
        known = rng.random(n) < share
        rest = ~known
        right = (spread(y, cosines, near, np.flatnonzero(known)) == y)[rest].mean()
        voted = vote(y, index.search(A[rest], K, allowed=known)[1])
        print(f"{share:12.0%} {right:24.3f} {(voted == y[rest]).mean():22.3f}")
    if options.plot:
        plot(options.plot, same, ours, cosines, negative)


if __name__ == "__main__":
    main()
