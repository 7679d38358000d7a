"""Customer segments of a UK retailer, and the number of them by silhouette.

    LATOM_DATA=/folder/with/data python examples/customer_segments.py [--plot figure.png]

Customers of UCI's Online Retail (`retail-events.npz`; generated without it) by recency, frequency and
quantity: days since the last purchase, days with a purchase, and pieces bought. Prices are not in the file,
so quantity stands for the money of RFM. Logarithms, standardized; k-means for 2 to 10 segments, beside
scikit-learn's Gaussian mixture, agglomerative clustering, BIRCH and DBSCAN.

Claim ("An exploration of clustering algorithms for customer segmentation in the UK retail market"): of
k-means, GMM, DBSCAN, agglomerative clustering and BIRCH the Gaussian mixture has the best silhouette, .80.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from sklearn.cluster import DBSCAN, AgglomerativeClustering, Birch
from sklearn.mixture import GaussianMixture

import latom

NAMES = ("recency", "frequency", "quantity")


def load(folder: str | None, seed: int) -> np.ndarray:
    """Recency, frequency and quantity of each customer."""
    if folder:
        stored = np.load(Path(folder) / "retail-events.npz")
        customer, day = stored["customer"], stored["time"] // 86_400
        n = int(customer.max()) + 1
        last = np.zeros(n, np.int64)
        np.maximum.at(last, customer, day)
        days = np.unique(np.stack([customer, day], axis=1), axis=0)[:, 0]
        quantity = np.bincount(customer, stored["quantity"].astype(float), minlength=n)
        return np.stack([day.max() - last, np.bincount(days, minlength=n), quantity], axis=1).astype(float)
    rng = np.random.default_rng(seed)
    group = rng.choice(3, 500, p=[0.6, 0.3, 0.1])
    mean = np.array([[200, 1, 80], [40, 4, 500], [5, 25, 8000]])[group]
    return np.maximum(mean * np.exp(0.4 * rng.standard_normal(mean.shape)), 1).round()


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument("--plot", metavar="FILE")
    given = parser.parse_args(arguments)
    rfm = load(given.data, 0)
    X = np.log1p(rfm)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    begin = time.perf_counter()
    sweep = latom.select_n_clusters(X, range(2, 11), metric="euclidean", random_state=0, plot=given.plot)
    seconds = time.perf_counter() - begin
    print(f"{len(X)} customers; 2 to 10 segments with silhouettes in {seconds:.2f} s")
    print("segments    " + " ".join(f"{m:6}" for m in sweep.n_clusters))
    print("silhouette  " + " ".join(f"{s:6.3f}" for s in sweep.silhouette))
    m = sweep.best
    print(
        f"best: {m}\n{'segment':>7} {'customers':>9} "
        + " ".join(f"{name:>9}" for name in NAMES)
        + "   (medians)"
    )
    labels = sweep.models[list(sweep.n_clusters).index(m)].labels_
    for j in range(m):
        own = rfm[labels == j]
        print(f"{j:7} {len(own):9} " + " ".join(f"{v:9.0f}" for v in np.median(own, axis=0)))
    found = {"k-means": float(sweep.silhouette.max())}
    peers = {
        "Gaussian mixture": lambda k: GaussianMixture(k, n_init=2, random_state=0),
        "agglomerative": lambda k: AgglomerativeClustering(k),
        "BIRCH": lambda k: Birch(threshold=0.3, n_clusters=k),
    }
    for name, make in peers.items():
        for k in range(2, 6):
            found[name] = max(found.get(name, -1.0), score(X, make(k).fit_predict(X)))
    for eps in (0.3, 0.5, 0.8):
        labels = DBSCAN(eps=eps, min_samples=6).fit_predict(X)
        found["DBSCAN, noise left out"] = max(
            found.get("DBSCAN, noise left out", -1.0), score(X[labels >= 0], labels[labels >= 0])
        )
    print("best silhouette of each")
    for name, value in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{name:23} {value:6.3f}")
    holds = max(found, key=lambda name: found[name]) == "Gaussian mixture"
    print(f"the claim that the Gaussian mixture is best {'holds' if holds else 'fails'}")
    return found


def score(X: np.ndarray, labels: np.ndarray) -> float:
    return latom.silhouette(X, labels) if 1 < len(np.unique(labels)) < len(X) else -1.0


if __name__ == "__main__":
    main()
