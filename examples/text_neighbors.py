"""Neighbors of documents, exactly: search by titles, a category vote, near-duplicates and hubs.

    python examples/text_neighbors.py                     # generated texts
    LATOM_DATA=folder python examples/text_neighbors.py   # 140 256 arXiv abstracts

What is claimed, and what this shows:
- a neighbor vote over sparse document vectors sorts documents into many categories (Ribadas-Pena et al.,
  "Improving large-scale k-NN text categorization with label autoencoders", 2022);
- nearest neighbors in high dimension have hubs, and local scaling makes fewer of them (Schnitzer et
  al., 2012).
"""

from __future__ import annotations

import argparse
import lzma
import os
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from latom.neighbors import SparseIndex, hubness, local_scaling

CANDIDATES = 50  # neighbors of a row, among which local scaling chooses


def load(n: int | None):
    """(unit TF-IDF rows, a category of each)."""
    folder = os.environ.get("LATOM_DATA")
    if folder and (Path(folder) / "arxiv-counts.npz").exists():
        stored = np.load(Path(folder) / "arxiv-counts.npz")
        counts = sp.csr_array(
            (stored["data"], stored["indices"], stored["indptr"]), shape=tuple(stored["shape"])
        )
        with lzma.open(Path(folder) / "arxiv-meta.tsv.xz", "rt") as lines:
            category = np.array([line.split("\t")[1] for line in lines])[-counts.shape[0] :]
    else:
        rng = np.random.default_rng(0)
        category = rng.integers(0, 8, 3000)
        columns = np.where(rng.random((3000, 30)) < 0.4, category[:, None] * 100, 800)
        columns = columns + (100 * rng.random((3000, 30)) ** 3).astype(int)
        counts = sp.csr_array((np.ones(columns.size), (np.repeat(np.arange(3000), 30), columns.ravel())))
        counts.sum_duplicates()
    counts = sp.csr_array(counts[:n])
    df = np.bincount(counts.indices, minlength=counts.shape[1])
    weights = (1 + np.log(counts.data)) * (np.log((1 + counts.shape[0]) / (1 + df)) + 1)[counts.indices]
    X = sp.csr_array((weights, counts.indices, counts.indptr), shape=counts.shape)
    lengths = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
    X.data /= np.repeat(np.where(lengths > 0, lengths, 1), np.diff(X.indptr))
    return sp.csr_array(X.astype(np.float32)), np.unique(category[:n], return_inverse=True)[1]


def heaviest(X, terms: int):
    """Each row by its heaviest terms alone: what a title or a short query is."""
    rows = [
        X.indptr[i] + np.argsort(-X.data[X.indptr[i] : X.indptr[i + 1]])[:terms] for i in range(X.shape[0])
    ]
    kept = np.sort(np.concatenate(rows))
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    return sp.csr_array((X.data[kept], X.indices[kept], indptr), shape=X.shape)


def vote(category, neighbors):
    """The most frequent category among the neighbors of each row."""
    return np.array([np.bincount(category[row]).argmax() for row in neighbors])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, help="documents (all)")
    parser.add_argument("--queries", type=int, default=1000, help="rows that ask (1000)")
    options = parser.parse_args()
    X, category = load(options.n)
    asked = np.linspace(0, X.shape[0] - 1, min(options.queries, X.shape[0])).astype(int)
    asked = np.unique(asked)
    rest = np.setdiff1d(np.arange(X.shape[0]), asked)
    print(f"{X.shape[0]} documents, {X.shape[1]} terms, {X.nnz} weights; {len(asked)} of them ask the others")

    start = time.perf_counter()
    index = SparseIndex(X)
    print(f"packed                 {time.perf_counter() - start:8.2f} s")
    short = heaviest(sp.csr_array(X[asked]), 10)
    index.search(short[[0]], 10, n_threads=1)
    start = time.perf_counter()
    for i in range(min(100, len(asked))):
        index.search(short[[i]], 10, n_threads=1)
    one = (time.perf_counter() - start) / min(100, len(asked))
    print(f"one query of 10 terms  {1000 * one:8.3f} ms")
    start = time.perf_counter()
    _, near = index.search(sp.csr_array(X[asked]), 10, allowed=rest)
    print(f"whole documents, k=10  {1000 * (time.perf_counter() - start) / len(asked):8.3f} ms each")
    right = (vote(category, near) == category[asked]).mean()
    usual = (category[asked] == np.bincount(category).argmax()).mean()
    print(f"category by 10 neighbors: {right:.3f} right; the most frequent category: {usual:.3f}")

    start = time.perf_counter()
    pairs = index.above(sp.csr_array(X[asked]), 0.8, allowed=rest)
    seconds = time.perf_counter() - start
    print(f"near-duplicates, cosine >= 0.8: {pairs.nnz} pairs in {seconds:.2f} s")

    start = time.perf_counter()
    values, who = index.search(X, CANDIDATES, exclude_self=True)
    print(f"graph of all documents, k={CANDIDATES}: {time.perf_counter() - start:.1f} s")
    before = who[:, :10]
    after = local_scaling(np.maximum(1 - values, 0), who, 10, kth=10)[1]
    print("10 neighbors of all    skewness  in no list  most lists  category right")
    for name, lists in (("cosine", before), ("local scaling", after)):
        found, voted = hubness(lists), vote(category, lists)
        print(
            f"{name:20} {found.skewness:10.2f} {found.antihubs:11.3f} {np.bincount(lists.ravel()).max():11d}"
            f" {(voted == category).mean():15.3f}"
        )


if __name__ == "__main__":
    main()
