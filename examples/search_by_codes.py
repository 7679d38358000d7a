"""Search by sparse codes of embeddings, beside exact search in the embeddings themselves.

    LATOM_DATA=/folder/with/data python examples/search_by_codes.py --plot search.png

Trains a k-sparse autoencoder on the embeddings of arXiv abstracts for each k, puts the codes of all but some
rows into an inverted index, and asks it for the ten nearest of the rows that were left out. Each line tells
how many of the ten that exact search by cosine in the embeddings finds are among them, as they come and
after the hundred best were ranked again by their embeddings, beside as many principal components as there
are active entries. "Beyond Matryoshka" (Wen et al., 2025) claims that codes keep what retrieval needs at a
fraction of the time and memory. Both searches are exact: what is lost is lost by the codes. Milliseconds are
those of one query at a time by one thread, the median of a hundred; an entry of a code takes 8 bytes, a
component 4. Without LATOM_DATA the rows are made here.

On arXiv codes with few active entries find more than components do, up to 8 also than components of as many
bytes, and sooner; 64 components are ahead of codes with 64.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA

from latom import DenseIndex, SparseAutoencoder, SparseIndex

NEAREST, CANDIDATES = 10, 100


@dataclass
class Found:
    """How one way of search did."""

    recall: float
    again: float  # recall of the best of the candidates, ranked by the embeddings
    milliseconds: float  # per query
    megabytes: float


def read(folder: Path, rows: int) -> np.ndarray:
    """Embeddings of unit length."""
    return np.load(folder / "arxiv-minilm.npy")[:rows].astype(np.float32)


def made(seed: int = 0) -> np.ndarray:
    """Rows of three directions out of sixty, and noise."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((60, 48))
    rows = [rng.uniform(0.5, 1.5, 3) @ atoms[rng.choice(60, 3, replace=False)] for _ in range(3000)]
    X = np.array(rows) + 0.4 * rng.standard_normal((3000, 48))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def megabytes(rows: np.ndarray | sp.csr_array) -> float:
    """Of an array, or of the three of CSR."""
    arrays = [rows] if isinstance(rows, np.ndarray) else [rows.data, rows.indices, rows.indptr]
    return sum(array.nbytes for array in arrays) / 1e6


def milliseconds(
    index: DenseIndex | SparseIndex, queries: np.ndarray | sp.csr_array, count: int = 100
) -> float:
    """Per query, one at a time by one thread."""
    alone = [queries[[i]] for i in range(min(count, queries.shape[0]))]
    index.search(alone[0], NEAREST, n_threads=1)
    seconds = []
    for query in alone:
        start = time.perf_counter()
        index.search(query, NEAREST, n_threads=1)
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))


def shared(found: np.ndarray, wanted: np.ndarray) -> float:
    """Mean share of the wanted rows that were found; -1 stands for none."""
    hits = [len(np.intersect1d(row, own)) for row, own in zip(found, wanted, strict=True)]
    return float(np.mean(hits) / wanted.shape[1])


def ranked_again(candidates: np.ndarray, rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The nearest candidates of each query by the embeddings, which have length 1."""
    best = []
    for own, query in zip(candidates, queries, strict=True):
        there = own[own >= 0]
        best.append(np.pad(there, (0, len(own) - len(there)), constant_values=-1)[:NEAREST])
        if len(there) > NEAREST:
            best[-1] = there[np.argsort(-(rows[there] @ query), kind="stable")[:NEAREST]]
    return np.array(best)


def search(
    rows: np.ndarray | sp.csr_array, queries: np.ndarray | sp.csr_array, near: tuple[np.ndarray, ...]
) -> Found:
    """What an index of the rows finds; near: embeddings of both, and the rows that are wanted."""
    index = (SparseIndex if sp.issparse(rows) else DenseIndex)(rows, metric="cosine")
    embedded, asked, wanted = near
    candidates = index.search(queries, CANDIDATES)[1]
    again = shared(ranked_again(candidates, embedded, asked), wanted)
    recall = shared(candidates[:, :NEAREST], wanted)
    return Found(recall, again, milliseconds(index, queries), megabytes(rows))


def compare(X: np.ndarray, asked: int, active: list[int], epochs: int, latents: int) -> dict:
    """Prints the table; returns what codes and components found, by active entries."""
    order = np.random.default_rng(0).permutation(len(X))
    queries, rows = X[order[:asked]], X[order[asked:]]
    index = DenseIndex(rows, metric="cosine")
    near = rows, queries, index.search(queries, NEAREST)[1]
    dense = Found(1.0, 1.0, milliseconds(index, queries), megabytes(rows))
    print(f"{len(rows):,} rows of {X.shape[1]} columns, {asked:,} queries, the {NEAREST} nearest by cosine")
    print(f"  embeddings: {dense.milliseconds:.2f} ms per query, {dense.megabytes:.1f} MB")
    heads = "recall  again  ms per query     MB"
    print(f"  active | codes: {heads}   FVU | components: {heads}")
    table = {"dense": dense}
    for k in active:
        model = SparseAutoencoder(latents, k, max_epochs=epochs, batch_size=512, random_state=0).fit(rows)
        pca = PCA(k, random_state=0).fit(rows)
        parts = [part.astype(np.float32) for part in (pca.transform(rows), pca.transform(queries))]
        table[k] = (
            search(model.transform(rows), model.transform(queries), near),
            search(*parts, near),
        )
        codes, few = (
            f"{f.recall:.3f}  {f.again:.3f}  {f.milliseconds:12.2f}  {f.megabytes:5.1f}" for f in table[k]
        )
        print(f"  {k:6} | {codes:>42}  {model.history_['fvu'][-1]:.2f} | {few:>47}")
    fast = [k for k in active if table[k][0].milliseconds < dense.milliseconds]
    if fast:
        codes = table[max(fast)][0]
        print(
            f"  with {max(fast)} active: {dense.milliseconds / codes.milliseconds:.1f} times as fast as the "
            f"embeddings, {codes.megabytes / dense.megabytes:.0%} of their bytes, {codes.recall:.0%} of the "
            f"nearest, {codes.again:.0%} when ranked again"
        )
    ahead = [k for k in active if table[k][0].recall > table[k][1].recall]
    same_bytes = [k for k in active if 2 * k in active and table[k][0].recall > table[2 * k][1].recall]
    for kind, found in (("as many components", ahead), ("components of as many bytes", same_bytes)):
        print(f"  codes find more than {kind} at {', '.join(map(str, found)) or 'no number of'} active")
    return table


def draw(table: dict, path: Path) -> None:
    """Recall by active entries, and by time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    active = [k for k in table if k != "dense"]
    ways = (("codes", 0, "#c2512f"), ("principal components", 1, "#2f6f9f"))
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for label, place, color in ways:
        found = [table[k][place] for k in active]
        left.plot(active, [f.again for f in found], "o--", label=f"{label}, ranked again", color=color)
        left.plot(active, [f.recall for f in found], "o-", label=label, color=color)
        right.plot([f.milliseconds for f in found], [f.recall for f in found], "o-", label=label, color=color)
        for k, f in zip(active, found, strict=True):
            at, text = (f.milliseconds, f.recall), f"{k}: {f.megabytes:.1f} MB"
            right.annotate(text, at, (6, -3), textcoords="offset points", fontsize=7, color=color)
    left.set_xscale("log", base=2)
    left.set_xticks(active, map(str, active))
    left.set(xlabel="active entries per row", ylabel=f"recall of the {NEAREST} nearest", ylim=(0, 1.03))
    left.legend(frameon=False)
    dense = table["dense"]
    right.plot(dense.milliseconds, 1, "s", color="#222222", label=f"embeddings: {dense.megabytes:.1f} MB")
    right.set_xscale("log")
    right.set(xlabel="milliseconds per query, one thread", ylim=(0, 1.06))
    right.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Reads what there is, compares, and draws if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=49152)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--active", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--latents", type=int, default=1536)
    parser.add_argument("--plot", type=Path, help="write a figure of recall by active entries and by time")
    given = parser.parse_args()
    folder = os.environ.get("LATOM_DATA")
    X = read(Path(folder), given.rows) if folder else made()
    latents = min(given.latents, 4 * X.shape[1])
    active = [k for k in given.active if k <= X.shape[1] // 2]
    table = compare(X, min(given.queries, len(X) // 4), active, given.epochs, latents)
    if given.plot:
        draw(table, given.plot)


if __name__ == "__main__":
    main()
