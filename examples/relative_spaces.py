"""One classifier for two spaces: relative representations of two views of the same documents.

    python examples/relative_spaces.py                     # generated spaces
    LATOM_DATA=folder python examples/relative_spaces.py   # arXiv abstracts: MiniLM, and TF-IDF by its SVD
    LATOM_DATA=folder python examples/relative_spaces.py --plot stitched.png

Moschella et al. (2023) claim that rows described by their cosines with shared anchors are alike across
encoders, so that a classifier trained in one space works in another, where absolute coordinates score as
chance does. The generated second space is a rotation of the first with noise; the spaces of the abstracts
have nothing in common but the texts. Classes are subjects (the archives of arXiv), rows are centered.
Anchors are drawn evenly, spread by k-means++, the rows nearest to the centers of k-means, or drawn by
leverage. Whitening claims to make spaces alike that differ by more than a rotation.
"""

from __future__ import annotations

import argparse
import lzma
import os
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.stats import ortho_group

from latom import RelativeRepresentation, TruncatedSVD
from latom.neighbors import DenseIndex, match_anchors

SELECTIONS = ("uniform", "kmeans++", "kmeans", "leverage")
ANCHORS = (16, 64, 256, 512, 1024)


def generated(n: int):
    """(rows of one space, of the other, classes)."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, n)
    A = rng.normal(size=(10, 32))[y] + rng.normal(size=(n, 32))
    return A, 3 * A @ ortho_group.rvs(32, random_state=1) + 0.3 * rng.normal(size=(n, 32)), y


def abstracts(folder: Path, n: int):
    """The same for n abstracts."""
    rows = np.load(folder / "arxiv-minilm-rows.npy")
    chosen = np.sort(np.random.default_rng(0).choice(len(rows), min(n, len(rows)), replace=False))
    A = np.load(folder / "arxiv-minilm.npy")[chosen].astype(np.float64)
    stored = np.load(folder / "arxiv-counts.npz")
    counts = sp.csr_array((stored["data"], stored["indices"], stored["indptr"]), shape=tuple(stored["shape"]))
    idf = np.log((1 + counts.shape[0]) / (1 + np.bincount(counts.indices, minlength=counts.shape[1]))) + 1
    part = sp.csr_array(counts[rows[chosen]])
    part = sp.csr_array(((1 + np.log(part.data)) * idf[part.indices], part.indices, part.indptr), part.shape)
    lengths = np.sqrt(part.multiply(part).sum(axis=1))
    part.data /= np.repeat(lengths, np.diff(part.indptr))
    B = TruncatedSVD(A.shape[1], random_state=0).fit_transform(part)
    with lzma.open(folder / "arxiv-meta.tsv.xz", "rt") as lines:
        archive = np.array([line.split("\t")[1].split(".")[0] for line in lines])[-counts.shape[0] :]
    y = np.unique(archive[rows[chosen]], return_inverse=True)[1]
    half = len(y) // 2  # what is centered is what a fit would see
    return A - A[:half].mean(axis=0), B - B[:half].mean(axis=0), y


def nearest_center(train, y, test):
    """Labels of test by the nearest class center of train."""
    labels = np.unique(y)
    centers = np.array([train[y == label].mean(axis=0) for label in labels])
    return labels[DenseIndex(centers).search(test, 1)[1][:, 0]]


def stitched(A, B, y, m: int, whiten: bool = False, selection: str = "uniform") -> tuple[float, float]:
    """Accuracy of a classifier of A on B, and mean reciprocal rank of rows of B looked up in A."""
    half = len(y) // 2
    first = RelativeRepresentation(m, selection=selection, whiten=whiten, random_state=0).fit(A[:half])
    second = RelativeRepresentation(m, whiten=whiten).fit_anchors(B[:half], first.anchor_indices_)
    a, b = first.transform(A), second.transform(B[half:])
    right = (nearest_center(a[:half], y[:half], b) == y[half:]).mean()
    found = DenseIndex(a[half:]).search(b, 50)[1] == np.arange(len(b))[:, None]
    return right, np.where(found.any(axis=1), 1 / (1 + found.argmax(axis=1)), 0).mean()


def plot(path: Path, anchors: tuple[int, ...], found: dict, lines: dict[str, float]) -> None:
    """Accuracy and rank against the number of anchors; dashed is what needs none."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
    for selection, color in zip(found, ("#c2512f", "#2f6f9f", "#5b8c3a", "#8a5fa8"), strict=True):
        for ax, values in zip(axes, zip(*found[selection], strict=True), strict=True):
            ax.plot(anchors, values, "o-", color=color, label=f"anchors: {selection}")
    for name, value in lines.items():
        axes[0].axhline(value, color="#9a958c", lw=0.9, ls="--")
        crowded = any(0 <= other - value < 0.05 for what, other in lines.items() if what != name)
        place = {"xytext": (0, -10 if crowded else 3), "textcoords": "offset points"}
        axes[0].annotate(name, (anchors[0], value), fontsize=8, color="#6b665e", **place)
    for ax, what in zip(axes, ("accuracy", "mean reciprocal rank of the same row"), strict=True):
        ax.set_xscale("log", base=2)
        ax.set_xticks(anchors, map(str, anchors))
        ax.set(xlabel="anchors", ylabel=what, ylim=(0, None))
    axes[0].set_ylim(0, 1.1 * max(lines.values()))
    axes[0].set_title("trained in A, tested in B", fontsize=11)
    axes[1].set_title("rows of B looked up in A", fontsize=11)
    axes[1].legend(frameon=False)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=10_000, help="rows (10000)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw both against the number of anchors")
    options = parser.parse_args()
    folder = os.environ.get("LATOM_DATA")
    real = folder and (Path(folder) / "arxiv-minilm.npy").exists()
    A, B, y = abstracts(Path(folder), options.n) if real else generated(min(options.n, 4000))
    n, half = len(y), len(y) // 2
    anchors = tuple(m for m in ANCHORS if m <= half)
    usual = np.bincount(y[half:]).max() / (n - half)
    print(f"{n} rows of {y.max() + 1} classes; the most frequent: {usual:.3f}")
    lines = {}
    for name, X in (("A", A), ("B", B)):
        right = (nearest_center(X[:half], y[:half], X[half:]) == y[half:]).mean()
        lines[f"within {name}"] = right
        print(f"trained and tested in {name}: accuracy {right:.3f}")

    print("trained in A, tested in B   accuracy  mean reciprocal rank of the same row")
    absolute = (nearest_center(A[:half], y[:half], B[half:]) == y[half:]).mean()
    print(f"absolute coordinates        {absolute:8.3f}")
    lines["absolute coordinates"] = absolute
    scores: dict[str, list[tuple[float, float]]] = {how: [] for how in SELECTIONS}
    for selection in scores:
        for m in anchors:
            right, rank = stitched(A, B, y, m, selection=selection)
            scores[selection].append((right, rank))
            print(f"{m:4d} anchors, {selection:12} {right:8.3f}  {rank:8.3f}")
    right, rank = stitched(A, B, y, anchors[-1], whiten=True)
    print(f"{anchors[-1]:4d} anchors, whitened     {right:8.3f}  {rank:8.3f}")
    for known in (15, min(300, half // 2)):
        seeds = np.arange(known)[:, None].repeat(2, axis=1)
        pairs = match_anchors(A[:half], B[:half], seeds, known + 200)
        right = (pairs[known:, 0] == pairs[known:, 1]).mean() if len(pairs) > known else 0.0
        print(
            f"anchors grown from {known} pairs to {len(pairs)}: {right:.3f} of the new ones are the same row"
        )
    if options.plot:
        plot(options.plot, anchors, scores, lines)


if __name__ == "__main__":
    main()
