"""A deep clustering loop in its smallest form: cluster, learn from the labels, cluster again, start warm.

    LATOM_DATA=/folder/with/data python examples/deep_clustering.py [--rounds 6]

Deep clustering (DeepCluster, DEC, SMoG) clusters embeddings, trains the encoder on the clusters as labels,
and goes on with the new embeddings. Here the encoder is linear: discriminant directions of the present
clusters (Ding & Li, "Adaptive dimension reduction using discriminant analysis and k-means clustering",
2007), on the embeddings of `clinc150`, or of generated classes without the data. Each round clusters the
new embeddings twice: from the means that the old labels have in them, and from k-means++ anew.

Claim of the field: labels that change little from round to round make training steady, and cost less.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score as same

import latom


def load(folder: str | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and their classes, which the loop does not see."""
    if folder:
        X = np.load(Path(folder) / "clinc150-minilm.npy").astype(np.float32)
        with (Path(folder) / "clinc150.tsv").open(encoding="utf-8", newline="") as file:
            y = np.unique(
                [row[1] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)],
                return_inverse=True,
            )[1]
    else:
        rng = np.random.default_rng(seed)
        y = np.repeat(np.arange(12), 50)
        X = (rng.standard_normal((12, 24))[y] + rng.standard_normal((len(y), 24))).astype(np.float32)
    return X, y


def means(Z: np.ndarray, labels: np.ndarray, m: int) -> np.ndarray:
    sums = np.zeros((m, Z.shape[1]))
    np.add.at(sums, labels, Z)
    return sums / np.maximum(np.bincount(labels, minlength=m), 1)[:, None]


def main(arguments: list[str] | None = None) -> list[tuple[int, int, float, float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args(arguments)
    X, y = load(given.data, 0)
    m = int(y.max()) + 1
    warm = latom.SphericalKMeans(m, random_state=0).fit(X)
    cold_labels, labels = warm.labels_, warm.labels_
    print(f"{len(X)} rows, {m} clusters; agreement is the adjusted Rand index")
    print(f"{'':5} {'iterations':>15} {'seconds':>15} {'with last round':>17} {'with classes':>15}")
    print("round" + 2 * f" {'warm':>7} {'cold':>7}" + f" {'warm':>8} {'cold':>8} {'warm':>7} {'cold':>7}")
    found = []
    for number in range(1, given.rounds + 1):
        encoder = LinearDiscriminantAnalysis(n_components=min(64, m - 1), solver="eigen", shrinkage=0.1)
        Z = encoder.fit(X, labels).transform(X).astype(np.float32)
        row = []
        for init, before in ((means(Z, labels, m), labels), ("k-means++", cold_labels)):
            begin = time.perf_counter()
            model = latom.SphericalKMeans(m, init=init, n_init=1, random_state=number).fit(Z)
            row.append(
                (model, time.perf_counter() - begin, same(before, model.labels_), same(y, model.labels_))
            )
        (a, ta, sa, ya), (b, tb, sb, yb) = row
        labels, cold_labels = a.labels_, b.labels_
        found.append((a.n_iter_, b.n_iter_, sa, sb))
        times, agreements = f"{ta:7.3f} {tb:7.3f}", f"{sa:8.3f} {sb:8.3f} {ya:7.3f} {yb:7.3f}"
        print(f"{number:5} {a.n_iter_:7} {b.n_iter_:7} {times} {agreements}")
    steady = np.mean([row[2] > row[3] for row in found]) == 1
    print(f"the claim that warm starts keep labels steady {'holds' if steady else 'fails'} in every round")
    return found


if __name__ == "__main__":
    main()
