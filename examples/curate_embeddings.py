"""A sample that covers a data set evenly: hierarchical k-means, beside flat k-means and even draws.

    LATOM_DATA=/folder/with/data python examples/curate_embeddings.py [--plot figure.png]

First the authors' toy: five rings, of very different numbers of points. Then MiniLM embeddings of arXiv
abstracts (49 152 rows; generated without the data), from which 5 000 rows are drawn, and near-duplicates that
were planted among them. Evenness is the Kullback-Leibler divergence of the sample's categories from the
uniform distribution: lower is more even.

Claim (Vo et al., "Automatic data curation for self-supervised learning", 2024): balanced draws over a
hierarchy of k-means with resampling cover concepts evenly, where k-means and uniform draws follow density.
Seen: it holds for the rings (off by a factor of 1.9, flat k-means 6.7). On arXiv both the hierarchy and flat
k-means of as many clusters draw three times as many rows of rare categories as uniform draws do; over all
categories they are equally even. A linear classifier of these samples gains nothing by it, .57 of the rows
and .02 to .03 of the rarer half of categories are right whichever way rows were drawn: there the claim fails.
"""

from __future__ import annotations

import argparse
import lzma
import os
import time
import warnings
from pathlib import Path

import numpy as np

import latom

COUNTS = (20_000, 200, 1_000, 500, 8_000)


def rings(rng: np.random.Generator, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Points on five rings, and the ring of each."""
    counts = np.maximum(np.array(COUNTS) * scale, 30).astype(int)
    ring = np.repeat(np.arange(5), counts)
    angle = rng.uniform(0, 2 * np.pi, len(ring))
    radius = 2 * ring + 1 + rng.normal(0, 0.1, len(ring))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None], ring


def embeddings(folder: str | None, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows, and the category of each."""
    if folder:
        X = np.load(Path(folder) / "arxiv-minilm.npy").astype(np.float32)
        rows = np.load(Path(folder) / "arxiv-minilm-rows.npy")
        with lzma.open(Path(folder) / "arxiv-meta.tsv.xz", "rt", encoding="utf-8") as lines:
            kinds = np.array([line.split("\t")[1] for line in lines])
        _, category = np.unique(kinds[rows], return_inverse=True)
    else:
        category = rng.choice(20, 3000, p=(w := 1 / np.arange(1, 21)) / w.sum())
        X = rng.standard_normal((20, 32))[category] + 0.6 * rng.standard_normal((3000, 32))
        X = X.astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True), category


def unevenness(kinds: np.ndarray, count: int) -> float:
    """Kullback-Leibler divergence from the uniform distribution, in nats."""
    share = np.bincount(kinds, minlength=count) / len(kinds)
    share = share[share > 0]
    return float((share * np.log(share * count)).sum())


def probe(
    X: np.ndarray, category: np.ndarray, rows: np.ndarray, test: np.ndarray, rare: np.ndarray
) -> tuple[float, float, float]:
    """Accuracy of a linear classifier of sampled rows: over rows, over categories, over rare categories."""
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():  # of iterations that are not the last: the probe is the same for all
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=30, max_iter=30).fit(X[rows], category[rows])
    right = model.predict(X[test]) == category[test]
    sizes = np.bincount(category[test])
    each = np.bincount(category[test], right) / np.maximum(sizes, 1)
    return float(right.mean()), float(each[sizes > 0].mean()), float(each[rare[sizes[rare] > 0]].mean())


def show_rings(scale: float, plot: str | None) -> dict[str, float]:
    """Shares of the rings in samples, and the figure."""
    X, ring = rings(np.random.default_rng(0), scale)
    wanted = np.array([1, 3, 5, 7, 9]) / 25  # the lengths of the rings
    size = min(1000, len(X) // 8)
    counts = (size, max(10, size * 3 // 10))
    tree = latom.HierarchicalKMeans(
        counts, metric="euclidean", sample_size=(15, 2), n_resampling=10, random_state=0
    ).fit(X)
    flat = latom.KMeans(counts[0], random_state=0).fit(X)
    samples = {
        "uniform": np.random.default_rng(1).choice(len(X), size, replace=False),
        "flat k-means": latom.balanced_sample(flat.labels_, size, random_state=1),
        "hierarchy": tree.balanced_sample(size, random_state=1),
    }
    print(f"five rings, {len(X)} points, {size} drawn; share of each ring, and its share of all lengths")
    print(f"{'lengths':14}" + " ".join(f"{v:6.3f}" for v in wanted))
    worst = {}
    for name, rows in samples.items():
        share = np.bincount(ring[rows], minlength=5) / size
        worst[name] = float(np.max(np.maximum(share, wanted) / np.maximum(np.minimum(share, wanted), 1e-9)))
        print(
            f"{name:14}" + " ".join(f"{v:6.3f}" for v in share) + f"   off by a factor of {worst[name]:.1f}"
        )
    if plot:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), sharex=True, sharey=True)
        for axis, (name, rows) in zip(axes, samples.items(), strict=True):
            axis.scatter(*X[::10].T, s=1, color="lightgray")
            axis.scatter(*X[rows].T, s=3, color="tab:blue")
            axis.set_title(f"{name}: off by {worst[name]:.1f}")
            axis.set_aspect("equal")
            axis.axis("off")
        figure.suptitle(f"{size} of {len(X)} points, drawn three ways")
        figure.tight_layout(rect=(0, 0, 1, 0.96))
        figure.savefig(plot, dpi=110)
    return worst


def show_embeddings(folder: str | None) -> dict[str, float]:
    """Evenness over categories of samples of embeddings, and duplicates that were found."""
    rng = np.random.default_rng(0)
    X, category = embeddings(folder, rng)
    n, kinds = len(X), int(category.max()) + 1
    size, counts = n // 10, (n // 10, n // 100)
    begin = time.perf_counter()
    tree = latom.HierarchicalKMeans(counts, n_resampling=10, random_state=0).fit(X)
    seconds = time.perf_counter() - begin
    flat = latom.SphericalKMeans(counts[0], random_state=0).fit(X)
    few = latom.SphericalKMeans(counts[1], random_state=0).fit(X)
    samples = {
        "uniform": rng.choice(n, size, replace=False),
        f"flat k-means, {counts[0]}": latom.balanced_sample(flat.labels_, size, random_state=1),
        f"flat k-means, {counts[1]}": latom.balanced_sample(few.labels_, size, random_state=1),
        f"hierarchy {counts}": tree.balanced_sample(size, random_state=1),
    }
    print(f"\n{n} embeddings of {kinds} categories, {size} drawn (hierarchy: {seconds:.1f} s)")
    drawn = np.unique(np.concatenate(list(samples.values())))
    test = np.setdiff1d(np.arange(n), drawn)
    print(f"linear probe: logistic regression on each sample, tested on {len(test)} rows that are in none")
    told = ("unevenness", "rarest tenth", "probe: rows", "categories", "rarer half")
    half = np.argsort(np.bincount(category, minlength=kinds))[: kinds // 2]
    print(f"{'sample':30} " + " ".join(f"{word:>12}" for word in told))
    rare = np.argsort(np.bincount(category, minlength=kinds))[: max(1, kinds // 10)]
    found = {}
    for name, rows in samples.items():
        found[name] = unevenness(category[rows], kinds)
        figures = (found[name], np.isin(category[rows], rare).mean(), *probe(X, category, rows, test, half))
        print(f"{name:30} " + " ".join(f"{figure:12.3f}" for figure in figures))
    planted = rng.choice(n, n // 20, replace=False)
    noise = 0.1 * rng.standard_normal((len(planted), X.shape[1])) / np.sqrt(X.shape[1])
    both = np.concatenate([X, (X[planted] + noise).astype(np.float32)])
    begin = time.perf_counter()
    kept = latom.semdedup(both, max(1, n // 1000), 0.02, random_state=0)
    seconds = time.perf_counter() - begin
    pairs = np.stack([planted, n + np.arange(len(planted))])
    recall = float((~kept[pairs]).any(axis=0).mean())
    own = int((~kept[:n]).sum())
    print(
        f"\nsemdedup of {len(both)} rows, 5 % planted: {recall:.1%} of the planted pairs were parted in "
        f"{seconds:.1f} s; {len(both) - int(kept.sum())} rows dropped, {own} of them among the first {n}"
    )
    return {**found, "recall": recall}


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument(
        "--scale", type=float, default=1.0, help="points of the rings, as a part of the authors'"
    )
    parser.add_argument("--plot", metavar="FILE", help="write a figure of the rings there")
    given = parser.parse_args(arguments)
    return {"rings": show_rings(given.scale, given.plot), "embeddings": show_embeddings(given.data)}


if __name__ == "__main__":
    main()
