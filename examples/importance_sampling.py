"""Rows drawn by importance: by losses at the centers of clusters, and by ratios of likelihoods.

    LATOM_DATA=/folder/with/data python examples/importance_sampling.py [--size 400] [--trials 100]

Sensitivity sampling: the mean loss of a model over all rows is estimated from `size` rows, of which the draw
knows the losses of cluster centers alone. Rows are MNIST test images (generated digits without the data), the
loss is that of a linear classifier trained on 300 of them.

Data selection (DSIR): of a pool of documents those are drawn whose words look like a target's, by the log
ratio of two bags of hashed words and Gumbel noise. The pool are arXiv abstracts, the target is one category.

Claims ("Data-efficient learning via clustering-based sensitivity sampling"): the error of the estimate
falls below that of even draws of the same size. ("Data selection for language models via importance
resampling"): the rows drawn are those of the target's distribution.
"""

from __future__ import annotations

import argparse
import lzma
import os
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

import latom


def images(folder: str | None, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if folder:
        with np.load(Path(folder) / "mnist-test.npz") as file:
            arrays = [file[name] for name in file.files]
        X = next(a for a in arrays if a.ndim > 1).reshape(len(arrays[0]), -1)
        y = next(a for a in arrays if a.ndim == 1)
        return (X / 255).astype(np.float32), y.astype(int)
    y = rng.integers(10, size=3000)
    X = rng.random((10, 64))[y] + 0.35 * rng.standard_normal((3000, 64))
    return X.astype(np.float32), y


def losses_by_size(folder: str | None, size: int, trials: int, rng: np.random.Generator) -> dict[str, float]:
    """Root mean squared relative error of the estimated mean loss."""
    X, y = images(folder, rng)
    known = rng.choice(len(X), 300, replace=False)
    model = LogisticRegression(max_iter=200).fit(X[known], y[known])
    chance = model.predict_proba(X)[np.arange(len(X)), np.searchsorted(model.classes_, y)]
    loss = -np.log(np.maximum(chance, 1e-12))
    m = 100
    clusters = latom.KMeans(m, random_state=0, max_iter=30).fit(X)
    nearest = latom.topk(clusters.cluster_centers_, X, 1, metric="euclidean")
    indices = next(part for part in nearest if np.asarray(part).dtype.kind in "iu")
    at_centers = loss[np.asarray(indices).ravel()]
    spread = clusters.inertia_ / len(X)
    truth, errors = loss.mean(), {"even draws": [], "losses at centers": []}
    for trial in range(trials):
        rows = rng.choice(len(X), size)
        errors["even draws"].append(loss[rows].mean() / truth - 1)
        rows, weights = latom.loss_sample(
            X, size, clusters.cluster_centers_, at_centers, lam=float(at_centers.mean() / spread),
            random_state=trial,
        )  # fmt: skip
        errors["losses at centers"].append(float(np.average(loss[rows], weights=weights)) / truth - 1)
    return {name: float(np.sqrt(np.mean(np.square(e)))) for name, e in errors.items()}


def documents(folder: str | None, rng: np.random.Generator) -> tuple[sp.csr_array, np.ndarray]:
    """Counts of words and whether a document is of the target."""
    if folder:
        with np.load(Path(folder) / "arxiv-counts.npz") as z:
            X = sp.csr_array((z["data"], z["indices"], z["indptr"]), shape=tuple(z["shape"]))
        with lzma.open(Path(folder) / "arxiv-meta.tsv.xz", "rt", encoding="utf-8") as file:
            category = np.array([line.split("\t")[1] for line in file])
        return X, category == "cs.CR"
    target = rng.random(4000) < 0.05
    words = rng.dirichlet(0.05 * np.ones(500), 2)[target.astype(int)]
    return sp.csr_array(np.array([rng.multinomial(40, w) for w in words])), target


def select(folder: str | None, rng: np.random.Generator) -> dict[str, float]:
    """The share of the target among rows drawn."""
    X, target = documents(folder, rng)
    buckets = 10_000  # words are hashed into these
    hashed = sp.csr_array((X.data, X.indices.astype(np.int64) * 2_654_435_761 % buckets, X.indptr),
                          shape=(X.shape[0], buckets))  # fmt: skip
    examples = rng.permutation(np.flatnonzero(target))[: target.sum() // 4]  # what is known of the target
    pool = np.setdiff1d(np.arange(len(target)), examples)

    def log_share(rows: np.ndarray) -> np.ndarray:
        counts = np.asarray(hashed[rows].sum(axis=0)).ravel() + 1.0
        return np.log(counts / counts.sum())

    ratio = hashed[pool] @ (log_share(examples) - log_share(pool))
    size = int(target[pool].sum())
    drawn = pool[latom.weighted_sample(log_weights=ratio, size=size, random_state=0)]
    even = rng.choice(pool, size, replace=False)
    return {"even draws": float(target[even].mean()), "importance resampling": float(target[drawn].mean())}


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--trials", type=int, default=100)
    given = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    errors = losses_by_size(given.data, given.size, given.trials, rng)
    print(f"mean loss from {given.size} rows: relative error over {given.trials} draws")
    for name, error in errors.items():
        print(f"  {name:22} {error:.4f}")
    ratio = errors["losses at centers"] / errors["even draws"]
    verdict = "holds" if ratio < 0.95 else "fails"
    print(f"the claim that losses at centers help {verdict}: {ratio:.2f} of the error of even draws")
    shares = select(given.data, rng)
    print("share of the target among rows drawn")
    for name, share in shares.items():
        print(f"  {name:22} {share:.3f}")
    gain = shares["importance resampling"] / shares["even draws"]
    print(f"rows of the target are {gain:.0f} times as frequent among those drawn by importance")
    return {"errors": errors, "shares": shares}


if __name__ == "__main__":
    main()
