"""Few-shot episodes: k-means of all rows of an episode beside the nearest prototype.

    LATOM_DATA=/folder/with/data python examples/few_shot.py [--episodes 10000]

An episode draws 5 classes, 5 labeled rows each and 15 rows each to be labeled, from the intents of
`clinc150` (MiniLM embeddings), or from generated classes without the data. The nearest prototype is the
mean of the labeled rows; k-means starts there, labeled rows keep their labels, and the others move the
means.

Claim ("Transductive few-shot learning: clustering is all you need?"): clustering the rows of an episode is
as good as methods made for the task, and better than prototypes alone.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path

import numpy as np

import latom

WAYS, SHOTS, QUERIES = 5, 5, 15


def load(folder: str | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and their classes."""
    if folder:
        X = np.load(Path(folder) / "clinc150-minilm.npy").astype(np.float32)
        with (Path(folder) / "clinc150.tsv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        y = np.unique([row[1] for row in rows], return_inverse=True)[1]
    else:
        rng = np.random.default_rng(seed)
        y = np.repeat(np.arange(30), 40)
        X = (rng.standard_normal((30, 48))[y] + 1.1 * rng.standard_normal((len(y), 48))).astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True), y


def draw(y: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of `count` episodes: of each class the labeled ones, then for each class the others."""
    members = [np.flatnonzero(y == c) for c in np.unique(y)]
    episodes = []
    for _ in range(count):
        classes = rng.choice(len(members), WAYS, replace=False)
        rows = np.array([rng.choice(members[c], SHOTS + QUERIES, replace=False) for c in classes])
        episodes.append(np.concatenate([rows[:, :SHOTS].ravel(), rows[:, SHOTS:].ravel()]))
    return np.array(episodes)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument("--episodes", type=int, default=10_000)
    given = parser.parse_args(arguments)
    X, y = load(given.data, 0)
    rng = np.random.default_rng(1)
    support = WAYS * SHOTS
    fixed = np.full(WAYS * (SHOTS + QUERIES), -1)
    fixed[:support] = np.repeat(np.arange(WAYS), SHOTS)
    truth = np.repeat(np.arange(WAYS), QUERIES)
    right = {"nearest prototype": [], "k-means, labels fixed": [], "k-means, labels as a start": []}
    seconds = 0.0
    for first in range(0, given.episodes, 1000):
        rows = X[draw(y, min(1000, given.episodes - first), rng)]
        prototypes = rows[:, :support].reshape(len(rows), WAYS, SHOTS, -1).mean(axis=2)
        free = rows[:, support:]
        near = np.einsum("eqd,ecd->eqc", free, prototypes / np.linalg.norm(prototypes, axis=2, keepdims=True))
        right["nearest prototype"].append((near.argmax(axis=2) == truth).mean(axis=1))
        begin = time.perf_counter()
        found = latom.kmeans_batch(
            rows, WAYS, init="k-means++", fixed_labels=np.tile(fixed, len(rows)), random_state=0
        )
        seconds += time.perf_counter() - begin
        labels = found.labels.reshape(len(rows), -1)[:, support:]
        right["k-means, labels fixed"].append((labels == truth).mean(axis=1))
        started = latom.kmeans_batch(rows, WAYS, init=prototypes.reshape(-1, rows.shape[2]))
        labels = started.labels.reshape(len(rows), -1)[:, support:]
        right["k-means, labels as a start"].append((labels == truth).mean(axis=1))
    print(f"{given.episodes} episodes of {WAYS} classes, {SHOTS} labeled and {QUERIES} other rows each")
    result = {}
    for name, parts in right.items():
        values = np.concatenate(parts)
        result[name] = float(values.mean())
        print(f"{name:27} {values.mean():.4f} +- {1.96 * values.std() / np.sqrt(len(values)):.4f}")
    print(f"{given.episodes / seconds:.0f} episodes per second by kmeans_batch")
    gain = result["k-means, labels fixed"] - result["nearest prototype"]
    verdict = "holds" if gain > 0 else "fails"
    print(f"the claim that clustering is better {verdict} here: {100 * gain:+.2f} points")
    return result


if __name__ == "__main__":
    main()
