"""Features of document embeddings: named by their documents, grouped by what occurs together, and steered.

    LATOM_DATA=/folder/with/data python examples/embedding_features.py

Trains a k-sparse autoencoder on the embeddings of arXiv abstracts. A feature is named by words that the
titles of its strongest documents have far more often than others; families are features that are active
together, far more often than by chance ("Disentangling dense embeddings with sparse autoencoders",
O'Neill et al., 2024, claims that features are interpretable, and that families form). Then one feature is
turned up in the code of a document, and the rows nearest to what is decoded show what it means. Without
LATOM_DATA topics are made here.
"""

from __future__ import annotations

import argparse
import lzma
import os
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import latom
from latom import SparseAutoencoder

COMMON = {"and", "are", "for", "from", "into", "over", "the", "under", "via", "with", "without"}


def read(folder: Path, rows: int) -> tuple[np.ndarray, list[str]]:
    """Embeddings of unit length, and titles."""
    X = np.load(folder / "arxiv-minilm.npy")[:rows].astype(np.float32)
    chosen = np.load(folder / "arxiv-minilm-rows.npy")[:rows]
    with lzma.open(folder / "arxiv-meta.tsv.xz", "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()
    return X, [lines[i].split("\t")[2] for i in chosen]


def made(seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Documents of three topics out of thirty, which come in families of three."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((30, 40)) / np.sqrt(40)
    rows, titles = [], []
    for _ in range(3000):
        family = rng.integers(10)
        topics = [3 * family + t for t in range(3) if rng.random() < 0.8] or [3 * family]
        rows.append(rng.uniform(0.7, 1.3, len(topics)) @ atoms[topics] + 0.05 * rng.standard_normal(40))
        titles.append(" ".join(f"topic{t} family{family}" for t in topics))
    return np.array(rows, dtype=np.float32), titles


def words_of(title: str) -> set[str]:
    """Words of a title, without the commonest."""
    return {word for word in re.findall(r"[a-z][a-z0-9-]{2,}", title.lower()) if word not in COMMON}


def name_features(codes: sp.csr_array, titles: list[str], top: int = 20) -> list[list[str]]:
    """Of each feature, words that its strongest documents have more often than all."""
    words = [words_of(title) for title in titles]
    everywhere = Counter(word for own in words for word in own)
    columns, n = codes.tocsc(), len(titles)
    names = []
    for j in range(codes.shape[1]):
        at = slice(columns.indptr[j], columns.indptr[j + 1])
        strongest = columns.indices[at][np.argsort(-columns.data[at], kind="stable")[:top]]
        counts = Counter(word for i in strongest for word in words[i])
        score = {
            word: count * np.log(count / len(strongest) / (everywhere[word] / n))
            for word, count in counts.items()
            if count > 1
        }
        names.append(sorted(score, key=lambda word: (-score[word], word))[:3])
    return names


def families(codes: sp.csr_array, least: int, ratio: float) -> list[np.ndarray]:
    """Groups of features whose documents overlap by a good part; the largest first."""
    active = sp.csr_array((np.ones_like(codes.data), codes.indices, codes.indptr), shape=codes.shape)
    together = sp.coo_array(active.T @ active)
    count = active.sum(axis=0)
    share = together.data / np.minimum(count[together.row], count[together.col])
    kept = (together.row != together.col) & (together.data >= least) & (share >= ratio)
    links = sp.csr_array(
        (np.ones(kept.sum()), (together.row[kept], together.col[kept])), shape=together.shape
    )
    groups, label = sp.csgraph.connected_components(links, directed=False)
    found = [np.flatnonzero(label == g) for g in range(groups)]
    return sorted((group for group in found if len(group) > 1), key=len, reverse=True)


def steer(model: SparseAutoencoder, X: np.ndarray, titles: list[str], document: int, feature: int) -> None:
    """Prints what is nearest to a document before and after one of its features is turned up."""
    code = model.transform(X[document : document + 1]).tolil()
    before = model.inverse_transform(code.tocsr())
    code[0, feature] = 2 * model.transform(X[:2000])[:, [feature]].max()
    after = model.inverse_transform(code.tocsr())
    for label, row in (("as it is", before), ("steered", after)):
        _, nearest = latom.topk(row, X, 4, metric="cosine")
        shown = [titles[i] for i in nearest[0] if i != document][:3]
        print(f"    {label:>8}: " + " | ".join(title[:60] for title in shown))


def main() -> None:
    """Trains, names, groups and steers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=49152)
    parser.add_argument("--latents", type=int, default=1536)
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    folder = os.environ.get("LATOM_DATA")
    X, titles = read(Path(folder), given.rows) if folder else made()
    latents, k, epochs = given.latents, given.k, given.epochs
    if not folder:
        latents, k, epochs = 60, 3, 15
    start = time.perf_counter()
    model = SparseAutoencoder(latents, k, max_epochs=epochs, batch_size=512, random_state=0).fit(X)
    codes = model.transform(X)
    last = model.history_[-1]
    print(
        f"{len(X):,} documents, {X.shape[1]} columns: {latents} features, {k} per document, "
        f"FVU {last['fvu']:.3f}, {last['dead']:.1%} dead, {time.perf_counter() - start:.1f} s"
    )
    names = name_features(codes, titles)
    used = np.bincount(codes.indices, minlength=latents)
    told = sum(len(name) == 3 for name in names)
    print(f"features whose documents share three words: {told} of {(used > 0).sum()} that are active")
    order = np.argsort(-used, kind="stable")
    for j in [j for j in order if len(names[j]) == 3][10:200:19]:
        print(f"  feature {j:5}, on {used[j] / len(X):5.1%} of documents: {', '.join(names[j])}")
    groups = families(codes, max(10, len(X) // 2000), 0.3)
    print(f"families of features that are active together: {len(groups)}")
    for group in groups[1:8]:
        print("  " + "; ".join("/".join(names[j][:2]) for j in group[:6]))
    feature = int(next(j for j in order[len(order) // 8 :] if len(names[j]) == 3))
    print(f"steering: feature {feature} ({', '.join(names[feature])}) turned up in '{titles[0][:60]}'")
    steer(model, X, titles, 0, feature)


if __name__ == "__main__":
    main()
