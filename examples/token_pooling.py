"""Token pooling: how much of late interaction is left when documents keep fewer vectors.

    LATOM_DATA=/folder/with/data python examples/token_pooling.py [--plot figure.png]

Token vectors are the residual stream of MiniLM's third layer (`minilm-activations.npz`), tokens of one
sentence each; some sentences are queries, ten of the others in a row are a document. Without the data,
tokens are drawn around topics. For each way to pool and each number of vectors kept: the mean cosine of
tokens with the nearest vector of their document, and how many of the ten best documents of a query by
MaxSim are still among its ten best.

Claims: sentence-transformers' Ward pooling keeps 94.6 % of nDCG@10 at a quarter of the vectors (blog of
2026, trained encoders, NanoBEIR); CRISP (Veneroso et al. 2025) keeps a third of the vectors at no loss,
training with the clusters. Neither encoder is here: what is compared is how the vectors are pooled. Beside
latom stand scikit-learn's Ward clusters and, at a quarter of the vectors, its k-means, a document at a time.
Seen: its Ward clusters are latom's, at five times the time; its k-means keeps less, at a hundred times.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

import latom

METHODS = ("ward", "ward+kmeans", "kmeans")
THEIRS = ("scikit-learn Ward", "scikit-learn k-means")  # one call for each document


def load(folder: str | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit token vectors, and the sentence of each."""
    if folder:
        stored = np.load(Path(folder) / "minilm-activations.npz")
        X, sentence = stored["residual"].astype(np.float32), stored["sentence"]
    else:
        rng = np.random.default_rng(seed)
        topics = rng.standard_normal((40, 64))
        words = topics[rng.integers(0, 40, 400)] + 0.7 * rng.standard_normal((400, 64))
        sentence = np.repeat(np.arange(220), 12)
        topic = rng.integers(0, 20, 220)[sentence]
        word = np.where(rng.random(len(sentence)) < 0.5, 20 * topic, 0) + rng.integers(0, 20, len(sentence))
        X = (words[word] + 0.4 * rng.standard_normal((len(sentence), 64))).astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True), sentence


def split(X: np.ndarray, sentence: np.ndarray, together: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Every sixth sentence is a query; `together` others in a row are a document."""
    _, first = np.unique(sentence, return_index=True)
    parts = np.split(X, np.sort(first)[1:])
    queries = parts[::6]
    others = [part for p, part in enumerate(parts) if p % 6]
    documents = [
        np.concatenate(others[p : p + together]) for p in range(0, len(others) - together + 1, together)
    ]
    return queries, documents


def pool_by_scikit_learn(documents: list[np.ndarray], counts: np.ndarray, method: str) -> np.ndarray:
    """The first token of each document, and unit means of clusters of the others, so many in all."""
    from sklearn.cluster import AgglomerativeClustering, KMeans

    pooled = []
    for rows, count in zip(documents, counts, strict=True):
        model = AgglomerativeClustering(count - 1)  # its linkage is Ward's
        if method.endswith("k-means"):
            model = KMeans(count - 1, n_init=1, random_state=0)
        labels = model.fit(rows[1:]).labels_
        means = np.stack([rows[1:][labels == j].sum(axis=0) for j in range(count - 1)])
        pooled += [rows[:1], means / np.linalg.norm(means, axis=1, keepdims=True)]
    return np.concatenate(pooled)


def mean_cosine(documents: list[np.ndarray], pooled: np.ndarray, offsets: np.ndarray) -> float:
    near = [
        (rows @ pooled[a:b].T).max(axis=1)
        for rows, a, b in zip(documents, offsets, offsets[1:], strict=False)
    ]
    return float(np.concatenate(near).mean())


def main(arguments: list[str] | None = None) -> list[tuple[float, str, float, float]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("LATOM_DATA"))
    parser.add_argument("--together", type=int, default=10, help="sentences of a document")
    parser.add_argument("--plot", metavar="FILE")
    given = parser.parse_args(arguments)
    queries, documents = split(*load(given.data, 0), given.together)
    tokens = sum(map(len, documents))
    print(f"{len(queries)} queries, {len(documents)} documents of {tokens / len(documents):.0f} tokens")
    best = latom.maxsim(queries, documents, 10)[1]
    print(f"{'factor':>6} {'method':20} {'vectors':>8} {'cosine':>7} {'top 10':>7} {'ms/doc':>7}")
    found = []
    for factor in (2, 4, 8, 16):
        offsets = np.zeros(len(documents) + 1, np.int64)
        for method in (*METHODS, *(THEIRS if factor == 4 else THEIRS[:1])):  # their k-means takes a minute
            begin = time.perf_counter()
            if method in THEIRS:  # as many vectors of each document
                pooled = pool_by_scikit_learn(documents, np.diff(offsets), method)
            else:
                pooled, offsets = latom.pool_tokens(
                    documents, pool_factor=factor, method=method, random_state=0
                )
            seconds = time.perf_counter() - begin
            again = latom.maxsim(queries, pooled, 10, document_offsets=offsets)[1]
            kept = np.mean([len(set(a) & set(b)) for a, b in zip(best, again, strict=True)]) / 10
            cosine = mean_cosine(documents, pooled, offsets)
            found.append((len(pooled) / tokens, method, cosine, float(kept)))
            print(
                f"{factor:6} {method:20} {len(pooled) / tokens:8.3f} {cosine:7.4f} {kept:7.3f} "
                f"{1e3 * seconds / len(documents):7.2f}"
            )
    kept = {method: (share, cosine, top) for share, method, cosine, top in found if 0.2 < share < 0.35}
    print("seen at a quarter of the vectors:")
    for method, (_, cosine, top) in kept.items():
        print(f"  {method:20} {top:.1%} of the ten best documents, mean cosine {cosine:.3f}")
    if given.plot:
        draw(found, given.plot)
    return found


def draw(found: list[tuple[float, str, float, float]], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, (column, title) in zip(
        figure.subplots(1, 2), ((2, "mean cosine of tokens"), (3, "top 10 kept")), strict=True
    ):
        # The first two lie together, and each of scikit-learn's on its kin.
        for method, style in zip((*METHODS, *THEIRS), ("o-", "s--", "^-", "x:", "+:"), strict=True):
            rows = [row for row in found if row[1] == method]
            axes.plot([row[0] for row in rows], [row[column] for row in rows], style, label=method)
        axes.set(xlabel="share of vectors kept", title=title)
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
