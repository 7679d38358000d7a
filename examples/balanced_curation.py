"""A few rows that cover a data set evenly: hierarchical k-means beside flat k-means and chance.

    LATOM_DATA=/folder/with/data python examples/balanced_curation.py [--scale 1] [--plot rings.png]

First the toy of the method's authors: five rings of very unequal numbers of points, from which 1 000 are to
be drawn evenly. Then embeddings of arXiv abstracts, 49 152 rows of 384 numbers: 5 000 rows are drawn, and the
shares of the categories are held against equal shares (KL divergence, lower is better), as is a linear probe
trained on the rows drawn, on rare categories (accuracy averaged over them). Last, 5 % planted near-duplicates
are found by semdedup. Without the data generated rows stand in.

Claims ("Automatic data curation for self-supervised learning: a clustering-based approach"): resampling
spreads clusters evenly over the support, so that rings get shares near those of their lengths; features
trained on curated data do better on rare classes.
"""

from __future__ import annotations

import argparse
import lzma
import os
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeClassifier

import latom

RADII = (0.5, 1.0, 1.5, 2.0, 2.5)
POINTS = (20_000, 200, 1_000, 500, 8_000)


def rings(scale: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points of five rings around five centers, and the ring of each."""
    counts = [max(60, int(c * scale)) for c in POINTS]
    ring = np.repeat(np.arange(5), counts)
    angle = 2 * np.pi * rng.random(len(ring))
    radius = np.array(RADII)[ring] + 0.02 * rng.standard_normal(len(ring))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32), ring


def draw_rings(scale: float, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray, dict]:
    """The share of each ring in draws of each kind, as a multiple of its share of all length."""
    X, ring = rings(scale, rng)
    fine, coarse, size = int(1000 * scale), int(300 * scale), int(1000 * scale)
    tree = latom.HierarchicalKMeans(
        (fine, coarse), metric="euclidean", n_resampling=10, sample_size=(15, 2), random_state=0
    ).fit(X)
    flat = latom.KMeans(fine, random_state=0, max_iter=50).fit(X)
    drawn = {
        "by chance": rng.choice(len(X), size, replace=False),
        "flat k-means": latom.balanced_sample(flat.labels_, size, random_state=0),
        "hierarchy": tree.balanced_sample(size, random_state=0),
    }
    length = np.array(RADII) / sum(RADII)
    shares = {name: np.bincount(ring[rows], minlength=5) / size / length for name, rows in drawn.items()}
    return shares, X, drawn


def papers(folder: str | None, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and their categories."""
    if not folder:
        counts = (3000 / (1 + np.arange(30)) ** 1.2).astype(int) + 30
        y = np.repeat(np.arange(30), counts)
        X = rng.standard_normal((30, 32))[y] + 0.9 * rng.standard_normal((len(y), 32))
        return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), y
    X = np.load(Path(folder) / "arxiv-minilm.npy").astype(np.float32)
    rows = np.load(Path(folder) / "arxiv-minilm-rows.npy")
    with lzma.open(Path(folder) / "arxiv-meta.tsv.xz", "rt", encoding="utf-8") as file:
        categories = np.array([line.split("\t")[1] for line in file])[rows]
    _, y, counts = np.unique(categories, return_inverse=True, return_counts=True)
    kept = counts[y] >= 60
    return X[kept] / np.linalg.norm(X[kept], axis=1, keepdims=True), np.unique(y[kept], return_inverse=True)[
        1
    ]


def curate(
    X: np.ndarray, y: np.ndarray, scale: float, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """KL to equal shares of categories, and accuracy on the rare half of them, for draws of each kind."""
    n, size = len(X), int(len(X) * 0.1)
    fine = max(40, int(n / 10 * scale))
    order = rng.permutation(n)
    train, test = order[: 4 * n // 5], order[4 * n // 5 :]
    T = X[train]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        tree = latom.HierarchicalKMeans((fine, fine // 10), n_resampling=5, max_iter=10, random_state=0).fit(
            T
        )
        seconds = time.perf_counter() - start
        flat = latom.SphericalKMeans(fine, max_iter=10, random_state=0).fit(T)
        coarse = latom.SphericalKMeans(fine // 10, max_iter=10, random_state=0).fit(T)
    drawn = {
        "by chance": rng.choice(len(T), size, replace=False),
        f"flat, {fine // 10}": latom.balanced_sample(coarse.labels_, size, random_state=0),
        f"flat, {fine}": latom.balanced_sample(flat.labels_, size, random_state=0),
        "hierarchy": tree.balanced_sample(size, random_state=0),
    }
    counts = np.bincount(y)
    rare = np.isin(y[test], np.argsort(counts)[: len(counts) // 2])
    found = {}
    for name, rows in drawn.items():
        share = np.bincount(y[train][rows], minlength=len(counts)) / size
        held = share[share > 0]
        probe = RidgeClassifier().fit(T[rows], y[train][rows])
        right = probe.predict(X[test]) == y[test]
        by_class = [right[y[test] == c].mean() for c in np.unique(y[test][rare])]
        found[name] = (float((held * np.log(held * len(counts))).sum()), float(np.mean(by_class)))
    print(f"{n} rows, {len(counts)} categories, {size} drawn; hierarchy fitted in {seconds:.1f} s")
    return found


def deduplicate(X: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """The share of planted copies found, the share of other rows lost, and seconds."""
    copied = rng.choice(len(X), len(X) // 20, replace=False)
    noise = rng.standard_normal((len(copied), X.shape[1])) * 0.1 / np.sqrt(X.shape[1])
    both = np.concatenate([X, (X[copied] + noise).astype(np.float32)])
    start = time.perf_counter()
    kept = latom.semdedup(both, max(10, len(X) // 500), 0.02, random_state=0)
    seconds = time.perf_counter() - start
    pair = kept[copied] & kept[len(X) :]
    others = np.setdiff1d(np.arange(len(X)), copied)
    return 1 - float(pair.mean()), 1 - float(kept[others].mean()), seconds


def draw_figure(path: str, X: np.ndarray, drawn: dict[str, np.ndarray]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(drawn) + 1, figsize=(4 * len(drawn) + 4, 4.2), sharex=True, sharey=True
    )
    for axis, (name, rows) in zip(axes, [("all points", np.arange(len(X))), *drawn.items()], strict=True):
        axis.scatter(*X[rows].T, s=1.5 if len(rows) > 3000 else 4, alpha=0.5, linewidths=0)
        axis.set_title(f"{name}: {len(rows)}")
        axis.set_aspect("equal")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument(
        "--scale", type=float, default=0.4, help="of the rings and of the numbers of clusters"
    )
    parser.add_argument("--plot", help="file for a figure of the rings")
    given = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    shares, points, drawn = draw_rings(given.scale, rng)
    print(f"rings of {', '.join(map(str, POINTS))} points: share drawn / share of length (1 is even)")
    for name, share in shares.items():
        print(f"  {name:14}" + "".join(f"{v:8.2f}" for v in share))
    if given.plot:
        draw_figure(given.plot, points, drawn)
    X, y = papers(given.data, rng)
    curated = curate(X, y, given.scale, rng)
    print(f"  {'':14}  KL to even   accuracy, rare half")
    for name, (kl, accuracy) in curated.items():
        print(f"  {name:14} {kl:10.3f} {accuracy:17.3f}")
    found, lost, seconds = deduplicate(X, rng)
    print(f"semdedup: {found:.1%} of planted copies found, {lost:.1%} of other rows dropped, {seconds:.1f} s")
    return {"rings": shares, "curated": curated, "copies": found}


if __name__ == "__main__":
    main()
