"""Topics of many documents: spherical k-means of sparse text, and starting centers by rejection.

    LATOM_DATA=/folder/with/data python examples/cluster_abstracts.py [--plot figure.png]

Documents are TF-IDF rows of 140 256 arXiv abstracts (generated topics without the data). First the starts:
centers drawn by the law of k-means++ in several ways, the seconds they take, the mean squared distance of
documents to them, and the mean cosine of documents with their centers some iterations later. Then iterations
from one start, beside scikit-learn's Lloyd on the same rows. Last the largest clusters, named by the
terms of their centers, with the category that most of their documents have.

Claims: an inverted index over the centers makes an iteration of sparse spherical k-means cost far less than a
comparison of all documents with all centers (Knittel, Koch & Ertl, "Efficient sparse spherical k-means for
document clustering", 2021). Rejection draws starts as good as those of k-means++ without a pass over the data
for each (Shah, Agrawal & Jaiswal, "A new rejection sampling approach to k-means++ with improved trade-offs",
2025).
Seen (300 clusters, two cores): rejection draws a start in a hundredth of a second, where knowing all
distances takes some thirty times as long; their potentials, and the mean cosines that k-means reaches from
them, are the same to the second digit (1.76 and .29), and so are those from random rows: on this text seeding
decides little. An iteration of scikit-learn's takes some forty-five times as long.
"""

from __future__ import annotations

import argparse
import lzma
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import latom


def weighed(counts: sp.csr_array) -> sp.csr_array:
    """TF-IDF rows of length 1: sublinear counts, smoothed inverse frequencies."""
    n = counts.shape[0]
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    data = (1 + np.log(counts.data)) * (np.log((1 + n) / (1 + frequency)) + 1)[counts.indices]
    row = np.repeat(np.arange(n), np.diff(counts.indptr))
    data /= np.sqrt(np.bincount(row, data**2, minlength=n))[row]
    index = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)  # all that scikit-learn takes
    return sp.csr_array((data.astype(np.float32), *index), shape=counts.shape)


def load(folder: str | None) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """Rows, the term of each column, and the category of each row."""
    if folder:
        stored = np.load(Path(folder) / "arxiv-counts.npz")
        parts = (stored["data"].astype(np.float64), stored["indices"], stored["indptr"])
        X = weighed(sp.csr_array(parts, shape=tuple(stored["shape"])))
        with lzma.open(Path(folder) / "arxiv-vocabulary.txt.xz", "rt", encoding="utf-8") as lines:
            terms = np.array([line.rstrip("\n") for line in lines])
        with lzma.open(Path(folder) / "arxiv-meta.tsv.xz", "rt", encoding="utf-8") as lines:
            category = np.array([line.split("\t")[1] for line in lines])
        return X, terms, category
    rng = np.random.default_rng(0)
    topic = rng.integers(0, 20, 4000)
    own = 40 * topic[:, None] + rng.integers(0, 40, (4000, 15))
    columns = np.where(rng.random(own.shape) < 0.6, own, rng.integers(0, 1000, own.shape))
    counts = sp.coo_array((np.ones(columns.size), (np.repeat(np.arange(4000), 15), columns.ravel())))
    terms = np.array([f"topic{c // 40}-{c % 40}" if c < 800 else f"word{c}" for c in range(1000)])
    return weighed(sp.csr_array(counts)), terms, np.array([f"topic{t}" for t in topic])


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    found = function()
    return found, time.perf_counter() - begin


def seedings(X: sp.csr_array, m: int) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to draw rows by the law of k-means++."""
    from sklearn.cluster import kmeans_plusplus

    def drawn(**options: Any) -> Callable[[], np.ndarray]:
        return lambda: latom.kmeans_plusplus(X, m, random_state=0, **options)[1]

    matrix = sp.csr_matrix(X)  # which scikit-learn's function takes
    return {
        "rejection": drawn(method="rejection"),
        "rejection, folds": drawn(method="fold"),
        "k-means++": drawn(method="exact"),
        "greedy k-means++": drawn(n_local_trials=None),
        "scikit-learn": lambda: kmeans_plusplus(matrix, m, n_local_trials=1, random_state=0)[1],
        "random rows": lambda: np.random.default_rng(0).choice(X.shape[0], m, replace=False),
    }


def compare_starts(X: sp.csr_array, m: int, iterations: int) -> dict[str, tuple[float, float, np.ndarray]]:
    """Of each way: seconds, the mean squared distance to the rows drawn, and mean cosines by iterations."""
    print(f"{m} starting rows             seconds  potential  mean cosine after {iterations} iterations")
    found = {}
    for name, draw in seedings(X, m).items():
        rows, seconds = timed(draw)
        potential = float(2 - 2 * latom.assign(X, X[rows])[1].mean())
        model = latom.SphericalKMeans(m, init=X[rows], tol=0, max_iter=iterations).fit(X)
        cosines = 1 - model.history_["objective"] / X.shape[0]
        found[name] = seconds, potential, cosines
        print(f"  {name:24} {seconds:8.2f} {potential:10.4f} {cosines[-1]:12.4f}")
    return found


def compare_iterations(X: sp.csr_array, m: int, iterations: int, theirs: int) -> tuple[Any, dict[str, float]]:
    """The clustering, and the seconds per iteration of both libraries, from one start."""
    from sklearn.cluster import KMeans

    start = X[latom.kmeans_plusplus(X, m, random_state=0)[1]]
    options = {"tol": 0, "init": start}
    model, seconds = timed(lambda: latom.SphericalKMeans(m, max_iter=iterations, **options).fit(X))
    took = {"latom": seconds / model.n_iter_}
    options = {"tol": 0, "init": start.toarray(), "n_init": 1, "algorithm": "lloyd"}
    other, seconds = timed(lambda: KMeans(m, max_iter=theirs, **options).fit(sp.csr_matrix(X)))
    took["scikit-learn"] = seconds / other.n_iter_
    print(
        f"\nseconds per iteration, {m} clusters: latom {took['latom']:.3f} (whole fit of {model.n_iter_}), ",
        end="",
    )
    print(
        f"scikit-learn {took['scikit-learn']:.3f}: {took['scikit-learn'] / took['latom']:.0f} times as long"
    )
    return model, took


def show_clusters(model: Any, terms: np.ndarray, category: np.ndarray, count: int) -> None:
    """The largest clusters: size, most frequent category and heaviest terms."""
    sizes = np.bincount(model.labels_, minlength=model.n_clusters)
    centers = sp.csr_array(model.cluster_centers_)
    print(f"\nthe {count} largest clusters, the share of their most frequent category, and their terms")
    for cluster in np.argsort(-sizes, kind="stable")[:count]:
        kinds, counts = np.unique(category[model.labels_ == cluster], return_counts=True)
        part = slice(centers.indptr[cluster], centers.indptr[cluster + 1])
        heavy = centers.indices[part][np.argsort(-centers.data[part], kind="stable")[:6]]
        share = f"{counts.max() / counts.sum():4.0%} {kinds[counts.argmax()]}"
        print(f"  {sizes[cluster]:6} {share:24} {', '.join(terms[heavy])}")


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument("--clusters", type=int, help="300 of the data, 20 of generated documents")
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--theirs", type=int, default=2, help="iterations of scikit-learn's")
    parser.add_argument("--plot", metavar="FILE")
    given = parser.parse_args(arguments)
    X, terms, category = load(given.data)
    m = given.clusters or (300 if given.data else 20)
    print(f"{X.shape[0]:,} documents, {X.shape[1]:,} terms, {X.nnz:,} entries")
    starts = compare_starts(X, m, given.iterations)
    model, took = compare_iterations(X, m, given.iterations, given.theirs)
    show_clusters(model, terms, category, 10)
    if given.plot:
        draw(starts, took, given.plot)
    return {"starts": starts, "seconds": took}


def draw(starts: dict[str, tuple[float, float, np.ndarray]], took: dict[str, float], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.4), layout="constrained")
    bars, curves, speed = figure.subplots(1, 3)
    names = list(starts)
    bars.barh(names, [starts[name][0] for name in names], color="C0")
    bars.set(title="seconds of a start", xscale="log")
    bars.invert_yaxis()
    for name, style in zip(names, ("-", "--", "-", "-", ":", "--"), strict=True):  # the first two are one
        curves.plot(np.arange(1, len(starts[name][2]) + 1), starts[name][2], style, label=name)
    curves.set(title="mean cosine with the center", xlabel="iteration")
    curves.legend(fontsize="x-small")
    speed.bar_label(speed.barh(list(took), list(took.values()), color=["C0", "C1"]), fmt="%.2g")
    speed.set(title="seconds per iteration", xlim=(0, 1.2 * max(took.values())))
    figure.savefig(path)


if __name__ == "__main__":
    main()
