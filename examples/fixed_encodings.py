"""Fixed encodings of sets of token vectors: candidates for late interaction by one inner product.

    LATOM_DATA=/folder/with/data python examples/fixed_encodings.py [--plot figure.png]

Tokens are sorted into cells; a query keeps the sum of its tokens in each cell, a document their mean, and a
cell where a document has no token takes the nearest one. Side by side these are one long vector, and the
inner product of two stands for MaxSim. Cells are the signs of random projections (SimHash), or the clusters
of spherical k-means; several partitions, each with a random projection of the tokens to few columns, are put
side by side. Tokens are those of `minilm-activations.npz`, sentences are documents and every sixth is a
query; without the data, tokens are drawn around topics. For each encoding: how many of the ten best documents
by exact MaxSim are among the first 10 to 100 candidates.

Claim (Dhulipala et al., "MUVERA: multi-vector retrieval via fixed dimensional encodings", 2024): candidates
by such encodings find the best documents among far fewer than those of single vectors do.
Seen (883 sentences; an encoder that was not trained for late interaction): with 20 partitions of 32 cells by
k-means it holds, .91 of the best are among 20 candidates, where the plain mean of the tokens has .83; cells
by SimHash are no better than the mean, and one partition alone is far behind it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import latom

CANDIDATES = (10, 20, 50, 100)


def load(folder: str | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Unit token vectors of each query and of each document."""
    if folder:
        stored = np.load(Path(folder) / "minilm-activations.npz")
        X, sentence = stored["residual"].astype(np.float32), stored["sentence"]
    else:
        rng = np.random.default_rng(0)
        words = rng.standard_normal((20, 20, 48)) * 0.7 + rng.standard_normal((20, 1, 48))
        sentence = np.repeat(np.arange(360), 12)
        topic = rng.integers(0, 20, 360)[sentence]
        topic[rng.random(len(topic)) < 0.4] = 0  # words that all sentences have
        X = words[topic, rng.integers(0, 20, len(topic))] + 0.3 * rng.standard_normal((len(topic), 48))
        X = X.astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    _, first = np.unique(sentence, return_index=True)
    parts = np.split(X, np.sort(first)[1:])
    return parts[::6], [part for p, part in enumerate(parts) if p % 6]


def by_signs(bits: int, rng: np.random.Generator, tokens: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """How near tokens are to the 2**bits cells of SimHash: minus the number of signs that differ."""
    normals = rng.standard_normal((tokens.shape[1], bits)).astype(np.float32)
    codes = (np.arange(2**bits)[:, None] >> np.arange(bits)) & 1
    return lambda X: -np.abs((X @ normals > 0)[:, None, :] - codes).sum(axis=2)


def by_clusters(
    bits: int, rng: np.random.Generator, tokens: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """How near tokens are to the centers of 2**bits clusters: minus 1 - cosine."""
    model = latom.SphericalKMeans(2**bits, random_state=int(rng.integers(2**31))).fit(tokens)
    return lambda X: -model.transform(X)


def cell_sums(
    parts: list[np.ndarray], cell: np.ndarray, cells: int, X: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the rows of each part in each cell, as [parts, cells, columns], and how many they are."""
    part = np.repeat(np.arange(len(parts)), [len(rows) for rows in parts])
    place = part * cells + cell
    members = sp.csr_array(
        (np.ones(len(X), X.dtype), (place, np.arange(len(X)))), (len(parts) * cells, len(X))
    )
    counts = np.diff(members.indptr).reshape(len(parts), cells)
    return latom.decode(members, X).reshape(len(parts), cells, -1), counts


def encode(
    parts: list[np.ndarray], near: Callable[[np.ndarray], np.ndarray], projection: np.ndarray, documents: bool
) -> np.ndarray:
    """One vector for each part: sums in cells for queries, means for documents, with no cell left empty."""
    X = np.concatenate(parts)
    closeness, Y = near(X), (X @ projection).astype(np.float32)
    cells = closeness.shape[1]
    sums, counts = cell_sums(parts, closeness.argmax(axis=1), cells, Y)
    if documents:
        sums /= np.maximum(counts, 1)[:, :, None]
        begin = np.cumsum([0, *map(len, parts)])
        for p, c in zip(*np.nonzero(counts == 0), strict=True):
            sums[p, c] = Y[begin[p] + closeness[begin[p] : begin[p + 1], c].argmax()]
    return sums.reshape(len(parts), -1)


def both_encoded(
    partition: Callable[..., Callable[[np.ndarray], np.ndarray]],
    queries: list[np.ndarray],
    documents: list[np.ndarray],
    bits: int,
    repeats: int,
    columns: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Encodings of queries and of documents, by several partitions side by side."""
    rng, tokens = np.random.default_rng(0), np.concatenate(documents)
    made: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for _ in range(repeats):
        near = partition(bits, rng, tokens)
        projection = rng.choice([-1.0, 1.0], (tokens.shape[1], columns)) / np.sqrt(columns)
        made[0].append(encode(queries, near, projection, False))
        made[1].append(encode(documents, near, projection, True))
    return np.hstack(made[0]), np.hstack(made[1])


def recall(best: np.ndarray, Q: np.ndarray, D: np.ndarray) -> list[float]:
    """The share of the best documents among so many candidates."""
    found = latom.topk(Q, D, min(max(CANDIDATES), len(D)))[1]
    return [
        float(np.mean([np.isin(wanted, row[:k]).mean() for wanted, row in zip(best, found, strict=True)]))
        for k in CANDIDATES
    ]


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument("--bits", type=int, default=5, help="2**bits cells")
    parser.add_argument("--repeats", type=int, default=20, help="partitions")
    parser.add_argument("--columns", type=int, default=32, help="of tokens after a projection")
    parser.add_argument("--plot", metavar="FILE")
    given = parser.parse_args(arguments)
    queries, documents = load(given.data)
    best = latom.maxsim(queries, documents, 10)[1]
    print(
        f"{len(queries)} queries, {len(documents)} documents of {np.mean([*map(len, documents)]):.0f} tokens"
    )
    print("of the ten best by MaxSim among the first" + " ".join(f"{k:6}" for k in CANDIDATES))
    means = [np.stack([rows.mean(axis=0) for rows in parts]) for parts in (queries, documents)]
    means[1] /= np.linalg.norm(means[1], axis=1, keepdims=True)
    shown = {"mean of the tokens": recall(best, *means)}
    size, seconds = [means[0].shape[1]], [0.0]
    for name, partition in (("SimHash", by_signs), ("k-means", by_clusters)):
        for repeats in sorted({1, given.repeats}):
            begin = time.perf_counter()
            Q, D = both_encoded(partition, queries, documents, given.bits, repeats, given.columns)
            seconds.append(time.perf_counter() - begin)
            size.append(Q.shape[1])
            shown[f"{name}, {repeats} x {2**given.bits} cells"] = recall(best, Q, D)
    for (name, row), columns, took in zip(shown.items(), size, seconds, strict=True):
        told = f"{name} ({columns} columns)"
        print(f"{told:41}" + " ".join(f"{value:6.3f}" for value in row) + f"   {took:6.2f} s")
    if given.plot:
        draw(shown, given.plot)
    return shown


def draw(shown: dict[str, list[float]], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, row), style in zip(shown.items(), ("k.:", "C0s--", "C0o-", "C1s--", "C1o-"), strict=False):
        axes.plot(CANDIDATES, row, style, label=name)
    axes.set(xlabel="candidates", xscale="log", xticks=CANDIDATES, title="of the ten best by MaxSim")
    axes.set_xticks(CANDIDATES, [str(k) for k in CANDIDATES])
    axes.minorticks_off()
    axes.legend(fontsize="small")
    figure.savefig(path)


if __name__ == "__main__":
    main()
