"""Novel class discovery: known classes keep their centers, unknown ones are found beside them.

    LATOM_DATA=/folder/with/data python examples/novel_classes.py

Of the intents of `banking77` (MiniLM embeddings; generated classes without the data) a third has no labeled
row. The centers of the others are the means of their training rows. All test rows are clustered, with those
centers fixed or not, and clusters that are not known are matched to the unknown classes by scipy's
`linear_sum_assignment`.

Claim ("A practical approach to novel class discovery in tabular data"): k-means whose known centers are
given and kept, and whose new ones are drawn by k-means++ beside them, finds novel classes better than
k-means that does not know them.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

import latom


def load(folder: str | None, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit rows, their classes, and which are for training."""
    if folder:
        X = np.load(Path(folder) / "banking77-minilm.npy").astype(np.float32)
        with (Path(folder) / "banking77.tsv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        y = np.unique([row[1] for row in rows], return_inverse=True)[1]
        train = np.array([row[0] == "train" for row in rows])
    else:
        rng = np.random.default_rng(seed)
        y = np.repeat(np.arange(24), 40)
        X = (rng.standard_normal((24, 32))[y] + 0.8 * rng.standard_normal((len(y), 32))).astype(np.float32)
        train = rng.random(len(y)) < 0.5
    return X / np.linalg.norm(X, axis=1, keepdims=True), y, train


def accuracy(y: np.ndarray, labels: np.ndarray, classes: int, known: int) -> tuple[float, float]:
    """Of rows of known and of novel classes; the first `known` clusters stand for themselves."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, y), 1)
    match = np.arange(classes)
    rows, columns = linear_sum_assignment(-counts[known:, known:])
    match[rows + known] = columns + known
    right = match[labels] == y
    return float(right[y < known].mean()), float(right[y >= known].mean())


def main(arguments: list[str] | None = None) -> dict[str, tuple[float, float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args(arguments)
    X, y, train = load(given.data, 0)
    classes = int(y.max()) + 1
    known = classes - classes // 3
    found: dict[str, list[tuple[float, float]]] = {}
    for run in range(given.runs):
        renamed = np.random.default_rng(run).permutation(classes)[y]  # other classes are novel in each run
        centers = np.array([X[train & (renamed == c)].mean(axis=0) for c in range(known)])
        test = X[~train]
        for name, model, fixed in (
            ("fixed centers", latom.SphericalKMeans(classes, fixed_centers=centers, random_state=run), known),
            ("known centers as a start", warm(test, centers, classes, run), known),
            ("k-means, nothing known", latom.SphericalKMeans(classes, random_state=run), 0),
        ):
            labels = model.fit(test).labels_
            truth = renamed[~train]
            if fixed:
                found.setdefault(name, []).append(accuracy(truth, labels, classes, known))
            else:
                counts = np.zeros((classes, classes))
                np.add.at(counts, (labels, truth), 1)
                right = linear_sum_assignment(-counts)[1][labels] == truth
                pair = float(right[truth < known].mean()), float(right[truth >= known].mean())
                found.setdefault(name, []).append(pair)
    print(f"{(~train).sum()} rows, {known} known and {classes - known} novel classes, {given.runs} runs")
    print(f"{'':26} {'known':>7} {'novel':>7}")
    result = {name: tuple(np.mean(pairs, axis=0)) for name, pairs in found.items()}
    for name, (of_known, of_novel) in result.items():
        print(f"{name:26} {of_known:7.3f} {of_novel:7.3f}")
    gain = result["fixed centers"][1] - result["k-means, nothing known"][1]
    verdict = "holds" if gain > 0 else "fails"
    print(f"the claim that known centers help to find novel classes {verdict}: {gain:+.3f}")
    return result


def warm(X: np.ndarray, centers: np.ndarray, classes: int, seed: int) -> latom.SphericalKMeans:
    new, _ = latom.kmeans_plusplus(
        X,
        classes - len(centers),
        existing_centers=centers.astype(X.dtype),
        n_local_trials="auto",
        random_state=seed,
    )
    return latom.SphericalKMeans(classes, init=np.vstack([centers, new]))


if __name__ == "__main__":
    main()
