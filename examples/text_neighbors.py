"""Neighbors of documents, exactly: search by titles, a category vote, near-duplicates, hubs, and a map.

    python examples/text_neighbors.py                     # generated texts
    LATOM_DATA=folder python examples/text_neighbors.py   # 140 256 arXiv abstracts
    LATOM_DATA=folder python examples/text_neighbors.py --plot map.png

What is claimed, and what this shows:
- a neighbor vote over sparse document vectors sorts documents into many categories (Ribadas-Pena et al.,
  "Improving large-scale k-NN text categorization with label autoencoders", 2022);
- nearest neighbors in high dimension have hubs, and local scaling and mutual proximity make fewer of them
  (Schnitzer et al., 2012);
- the cosine above which documents count as the same decides what a de-duplicator finds: copies that lost some
  of their words on the one hand, documents that are merely alike on the other;
- a graph of neighbors is enough to draw a map of documents (McInnes, Healy & Melville, "UMAP", 2018, whose
  forces `--plot` applies in numpy; `latom.neighbors.precomputed_knn` is what umap-learn takes).
"""

from __future__ import annotations

import argparse
import lzma
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from latom import TruncatedSVD
from latom.neighbors import SparseIndex, hubness, local_scaling, mutual_proximity

CANDIDATES = 50  # neighbors of a row, among which local scaling chooses
DRAWN = 15  # neighbors of a row on the map
COSINES = (0.95, 0.9, 0.8, 0.7, 0.6)
LOST = (0.05, 0.1, 0.2, 0.4)  # of the words of a copy


@dataclass
class Documents:
    """Documents as unit rows of TF-IDF weights."""

    X: sp.csr_array
    idf: np.ndarray  # [terms]
    column: dict[str, int]  # of each term
    titles: list[str]
    category: np.ndarray

    @property
    def subject(self) -> np.ndarray:
        """The category without its subdivision."""
        return np.array([name.split(".")[0] for name in self.category])

    def as_queries(self, texts: list[str]) -> sp.csr_array:
        """Texts as the documents are weighed; words that no document has are left out."""
        rows, columns = [], []
        for row, text in enumerate(texts):
            known = [
                self.column[word] for word in re.findall(r"[a-z0-9-]+", text.lower()) if word in self.column
            ]
            rows += [row] * len(known)
            columns += known
        counts = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(texts), self.X.shape[1]))
        counts.sum_duplicates()
        return weighed(counts, self.idf)


def weighed(counts: sp.csr_array, idf: np.ndarray) -> sp.csr_array:
    """Unit rows of (1 + log count) idf."""
    weights = (1 + np.log(counts.data)) * idf[counts.indices]
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    weights /= np.sqrt(np.bincount(row, weights**2, minlength=counts.shape[0]))[row]
    return sp.csr_array((weights.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)


def load(n: int | None) -> Documents:
    """arXiv's, or documents of eight made subjects."""
    folder = os.environ.get("LATOM_DATA")
    if folder and (Path(folder) / "arxiv-counts.npz").exists():
        stored = np.load(Path(folder) / "arxiv-counts.npz")
        counts = sp.csr_array(
            (stored["data"], stored["indices"], stored["indptr"]), shape=tuple(stored["shape"])
        )
        with lzma.open(Path(folder) / "arxiv-vocabulary.txt.xz", "rt") as lines:
            terms = lines.read().split("\n")
        with lzma.open(Path(folder) / "arxiv-meta.tsv.xz", "rt") as lines:
            about = [line.rstrip("\n").split("\t") for line in lines][-counts.shape[0] :]
    else:
        rng = np.random.default_rng(0)
        subject = rng.integers(0, 8, 3000)
        columns = np.where(rng.random((3000, 30)) < 0.4, subject[:, None] * 100, 800)
        columns = columns + (100 * rng.random((3000, 30)) ** 3).astype(int)
        counts = sp.csr_array((np.ones(columns.size), (np.repeat(np.arange(3000), 30), columns.ravel())))
        counts.sum_duplicates()
        terms = [f"term{t}" for t in range(counts.shape[1])]
        about = [
            [str(i), f"subject{s}", " ".join(terms[t] for t in rng.permutation(own)[:7])]
            for i, (s, own) in enumerate(zip(subject, columns, strict=True))
        ]
    counts = sp.csr_array(counts[:n].astype(np.float64))
    about = about[: counts.shape[0]]
    df = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log((1 + counts.shape[0]) / (1 + df)) + 1
    column = {term: t for t, term in enumerate(terms[: counts.shape[1]])}
    return Documents(
        weighed(counts, idf), idf, column, [row[2] for row in about], np.array([row[1] for row in about])
    )


def vote(category: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """The most frequent category among the neighbors of each row."""
    return np.array([np.bincount(category[row]).argmax() for row in neighbors])


def search_titles(documents: Documents, index: SparseIndex, asked: np.ndarray, label: np.ndarray) -> None:
    """Titles as queries: seconds, whether they find their document, and what others say of its category."""
    rest = np.setdiff1d(np.arange(len(label)), asked)
    queries = documents.as_queries([documents.titles[i] for i in asked])
    told = np.flatnonzero(np.diff(queries.indptr))
    queries, asked = sp.csr_array(queries[told]), asked[told]
    index.search(queries[[0]], 10, n_threads=1)
    start = time.perf_counter()
    for i in range(min(100, len(asked))):
        index.search(queries[[i]], 10, n_threads=1)
    one = (time.perf_counter() - start) / min(100, len(asked))
    terms = queries.nnz / queries.shape[0]
    print(f"a title of {terms:.0f} terms   {1000 * one:8.3f} ms, one at a time")
    start = time.perf_counter()
    _, near = index.search(queries, 10)
    print(f"                     {1000 * (time.perf_counter() - start) / len(asked):8.3f} ms, together")
    itself = near == asked[:, None]
    print(f"its document is first {itself[:, 0].mean():.3f}, among ten {itself.any(axis=1).mean():.3f}")
    start = time.perf_counter()
    _, whole = index.search(sp.csr_array(documents.X[asked]), 10, allowed=rest)
    print(f"whole documents, k=10 {1000 * (time.perf_counter() - start) / len(asked):7.3f} ms each, together")
    _, others = index.search(queries, 10, allowed=rest)
    usual = (label[asked] == np.bincount(label).argmax()).mean()
    print(
        f"category by 10 neighbors: {(vote(label, whole) == label[asked]).mean():.3f} right, by titles alone "
        f"{(vote(label, others) == label[asked]).mean():.3f}; the most frequent category: {usual:.3f}"
    )
    shown = asked[len(asked) // 2]
    print(f"\nnearest to '{documents.titles[shown][:80]}'")
    values, near = index.search(documents.as_queries([documents.titles[shown]]), 4)
    for value, i in zip(values[0], near[0], strict=True):
        print(f"  {value:.3f}  {documents.category[i]:18} {documents.titles[i][:80]}")


def near_duplicates(documents: Documents, index: SparseIndex, label: np.ndarray) -> None:
    """What a de-duplicator finds by the cosine that it asks for: pairs, and copies that lost words."""
    start = time.perf_counter()
    pairs = sp.triu(index.above(documents.X, np.nextafter(min(COSINES), 0), exclude_self=True)).tocoo()
    seconds = time.perf_counter() - start
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(index.shape[0])[:1000])
    found = {}
    for lost in LOST:
        copies = sp.csr_array(documents.X[chosen])
        copies.data *= rng.random(copies.nnz) >= lost
        copies.eliminate_zeros()
        matches = index.above(copies, np.nextafter(min(COSINES), 0)).tocsr()
        found[lost] = np.asarray(matches[np.arange(len(chosen)), chosen]).ravel()
    print(f"\nnear-duplicates, joined in {seconds:.1f} s      of copies without some of their words, found")
    print("cosine    pairs  documents  same category" + "".join(f"{lost:8.0%}" for lost in LOST))
    for cosine in COSINES:
        kept = pairs.data >= cosine
        both = pairs.row[kept], pairs.col[kept]
        same = (label[both[0]] == label[both[1]]).mean() if kept.any() else np.nan
        shares = "".join(f"{(values >= cosine).mean():8.3f}" for values in found.values())
        print(f"{cosine:6.2f} {kept.sum():8d} {len(np.unique(both)):10d} {same:14.3f}{shares}")
    order = np.argsort(-pairs.data, kind="stable")
    for p in order[[len(order) // 20, len(order) // 4]] if len(order) else []:
        first, second = documents.titles[pairs.row[p]], documents.titles[pairs.col[p]]
        print(f"  {pairs.data[p]:.2f}  {first[:52]} | {second[:52]}")


def hubs(index: SparseIndex, X: sp.csr_array, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The graph of all, before and after local scaling; returns distances and neighbors."""
    start = time.perf_counter()
    values, who = index.search(X, CANDIDATES, exclude_self=True)
    print(f"\ngraph of all documents, k={CANDIDATES}: {time.perf_counter() - start:.1f} s")
    distances = np.maximum(1 - values, 0)
    after = local_scaling(distances, who, 10, kth=10)[1]
    mutual = mutual_proximity(distances, who, 10)[1]
    print("10 neighbors of all    skewness  in no list  most lists  category right")
    for name, lists in (("cosine", who[:, :10]), ("local scaling", after), ("mutual proximity", mutual)):
        found, voted = hubness(lists), vote(label, lists)
        print(
            f"{name:20} {found.skewness:10.2f} {found.antihubs:11.3f} {np.bincount(lists.ravel()).max():11d}"
            f" {(voted == label).mean():15.3f}"
        )
    return distances, who


# ---- the map


def edges_of(distances: np.ndarray, who: np.ndarray) -> sp.csr_array:
    """UMAP's weights: 1 for the nearest, falling at each row's own pace; those of both directions joined."""
    n, k = who.shape
    beyond = distances - distances[:, :1]
    pace = np.maximum(beyond.mean(axis=1, keepdims=True), 1e-6)
    indptr = np.arange(0, n * k + 1, k)
    A = sp.csr_array((np.exp(-beyond / pace).ravel(), who.ravel(), indptr), shape=(n, n))
    B = sp.csr_array(A.T)
    return sp.csr_array(A + B - A.multiply(B))


def layout(graph: sp.csr_array, epochs: int) -> np.ndarray:
    """Places [n, 2]: from singular vectors of the graph, moved by UMAP's forces."""
    n = graph.shape[0]
    degree = np.sqrt(np.asarray(graph.sum(axis=1)).ravel() + 1e-9)
    normal = sp.csr_array(sp.diags_array(1 / degree) @ graph @ sp.diags_array(1 / degree))
    vectors = TruncatedSVD(3, n_iter=20, random_state=0).fit_transform(normal + sp.eye_array(n, format="csr"))
    Y = vectors[:, 1:] / degree[:, None]
    rng = np.random.default_rng(0)
    Y = np.argsort(np.argsort(Y, axis=0), axis=0) / n * 20 - 10 + 0.1 * rng.standard_normal((n, 2))
    edges = sp.triu(graph).tocoo()
    a, b = 1.577, 0.895  # of UMAP's min_dist = 0.1
    often = edges.data / edges.data.max()
    for epoch in range(epochs):
        drawn = np.flatnonzero(rng.random(len(often)) < often)
        i, j = edges.row[drawn], edges.col[drawn]
        step = Y[i] - Y[j]
        square = (step**2).sum(axis=1)
        pull = -2 * a * b * square ** (b - 1) / (1 + a * square**b)
        moves = np.clip(np.where(square > 0, pull, 0)[:, None] * step, -4, 4)
        heads, forces = [i, j], [moves, -moves]
        for head in (i, j):
            other = rng.integers(0, n, len(head))
            step = Y[head] - Y[other]
            square = (step**2).sum(axis=1)
            push = 2 * b / ((0.001 + square) * (1 + a * square**b))
            heads.append(head)
            # One stands for the five that UMAP draws for one end of an edge.
            forces.append(np.clip(2.5 * push[:, None] * step, -4, 4))
        at, force = np.concatenate(heads), np.concatenate(forces)
        rate = 0.5 * (1 - epoch / epochs)
        for axis in range(2):
            Y[:, axis] += rate * np.clip(np.bincount(at, force[:, axis], minlength=n), -8, 8)
    return Y


def densest(groups: list[np.ndarray], size: np.ndarray) -> list[np.ndarray]:
    """Where most of each group is; moved up or down where another's name stands already."""
    spots: list[np.ndarray] = []
    for places in groups:
        count, x, y = np.histogram2d(*places.T, bins=30)
        a, b = np.unravel_index(count.argmax(), count.shape)
        spot = np.array([x[a : a + 2].mean(), y[b : b + 2].mean()])
        for shift in (0, 1, -1, 2, -2, 3, -3, 4, -4):
            moved = spot + [0, 0.022 * shift * size[1]]
            if all((np.abs(moved - other) > (0.08, 0.021) * size).any() for other in spots):
                break
        spots.append(moved)
    return spots


def draw(documents: Documents, distances: np.ndarray, who: np.ndarray, epochs: int, path: Path) -> None:
    """Documents where the graph puts them, in the colors of the most frequent subjects."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import patheffects, pyplot

    start = time.perf_counter()
    Y = layout(edges_of(distances[:, :DRAWN], who[:, :DRAWN]), epochs)
    print(f"map by {epochs} epochs: {time.perf_counter() - start:.1f} s")
    subject = documents.subject
    names, counts = np.unique(subject, return_counts=True)
    order = names[np.argsort(-counts, kind="stable")][:18]
    colors = pyplot.get_cmap("tab20")(np.arange(20))[[*range(14), *range(16, 20)]]
    figure, axes = pyplot.subplots(figsize=(11, 10), facecolor="#fbfaf7", layout="constrained")
    shuffled = np.random.default_rng(0).permutation(len(Y))
    shade = np.full((len(Y), 4), matplotlib.colors.to_rgba("#c9c5bc"))
    for name, color in zip(order, colors, strict=False):
        shade[subject == name] = color
    size = np.clip(60_000 / len(Y), 0.4, 12)
    axes.scatter(*Y[shuffled].T, s=size, c=shade[shuffled], lw=0, alpha=0.6, rasterized=True)
    low, high = np.percentile(Y, (0.2, 99.8), axis=0)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    spots = densest([Y[subject == name] for name in order], high - low)
    for name, color, place in zip(order, colors, spots, strict=False):
        halo = [patheffects.withStroke(linewidth=3, foreground="#fbfaf7")]
        text = {"ha": "center", "va": "center", "fontsize": 11, "fontweight": "bold", "path_effects": halo}
        axes.text(*place, name, color=0.6 * color[:3], **text)
    axes.set_axis_off()
    axes.set_title(
        f"{len(Y):,} documents by their {DRAWN} nearest, colored by subject", loc="left", fontsize=13
    )
    figure.savefig(path, dpi=140)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, help="documents (all)")
    parser.add_argument("--queries", type=int, default=1000, help="documents whose titles ask (1000)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a map of the documents")
    parser.add_argument("--epochs", type=int, default=100, help="of the map (100)")
    options = parser.parse_args()
    documents = load(options.n)
    X = documents.X
    label = np.unique(documents.category, return_inverse=True)[1]
    asked = np.unique(np.linspace(0, X.shape[0] - 1, min(options.queries, X.shape[0])).astype(int))
    print(f"{X.shape[0]} documents, {X.shape[1]} terms, {X.nnz} weights, {label.max() + 1} categories")
    start = time.perf_counter()
    index = SparseIndex(X)
    print(f"packed               {time.perf_counter() - start:8.2f} s")
    search_titles(documents, index, asked, label)
    near_duplicates(documents, index, label)
    distances, who = hubs(index, X, label)
    if options.plot:
        draw(documents, distances, who, options.epochs, options.plot)


if __name__ == "__main__":
    main()
