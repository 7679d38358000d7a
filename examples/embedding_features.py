"""Features of document embeddings: named by their documents, grouped by what occurs together, and steered.

    LATOM_DATA=/folder/with/data python examples/embedding_features.py

Trains a k-sparse autoencoder on the embeddings of arXiv abstracts. A feature is named by words that the
titles of its strongest documents have far more often than others; families are features that are active
together, far more often than by chance ("Disentangling dense embeddings with sparse autoencoders",
O'Neill et al., 2024, claims that features are interpretable, and that families form). Then one feature is
turned up in the code of a document, and the rows nearest to what is decoded show what it means. Without
LATOM_DATA topics are made here. `--plot FILE` draws the features of the largest families.
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

from latom import SparseAutoencoder, steer, topk
from latom.metrics import cooccurrence

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


def overlaps(codes: sp.csr_array, least: int) -> sp.coo_array:
    """Of features that share documents: the cosine of who is active; 0 where fewer than `least` do."""
    together = sp.coo_array(cooccurrence(codes))
    count = together.tocsr().diagonal()
    share = together.data / np.sqrt(count[together.row] * count[together.col])
    return sp.coo_array(
        (share * (together.data >= least), (together.row, together.col)), shape=together.shape
    )


def families(overlap: sp.coo_array, ratio: float) -> list[np.ndarray]:
    """Groups of features whose documents overlap; the largest first."""
    kept = (overlap.row != overlap.col) & (overlap.data >= ratio)
    links = sp.csr_array((np.ones(kept.sum()), (overlap.row[kept], overlap.col[kept])), shape=overlap.shape)
    groups, label = sp.csgraph.connected_components(links, directed=False)
    found = [np.flatnonzero(label == g) for g in range(groups)]
    return sorted((group for group in found if len(group) > 1), key=len, reverse=True)


def tightest(group: np.ndarray, overlap: sp.coo_array, count: int) -> np.ndarray:
    """Those of a family that overlap most: from the strongest pair on, each by its sum with those before."""
    table = overlap.tocsr()[group][:, group].toarray()
    np.fill_diagonal(table, 0)
    chosen = list(np.unravel_index(table.argmax(), table.shape))
    while len(chosen) < min(count, len(group)):
        with_those = table[chosen].sum(axis=0)
        with_those[chosen] = -1
        chosen.append(int(with_those.argmax()))
    return group[chosen]


def turn_up(
    model: SparseAutoencoder, X: np.ndarray, titles: list[str], document: int, feature: int, strength: float
) -> None:
    """Prints what is nearest to a document before and after one of its features is turned up."""
    row = X[document : document + 1]
    for label, edits in (("as it is", {}), ("steered", {feature: strength})):
        made = steer(row, model, edits, keep_error=False)
        _, nearest = topk(made, X, 4, metric="cosine")
        shown = [titles[i] for i in nearest[0] if i != document][:3]
        print(f"    {label:>8}: " + " | ".join(title[:60] for title in shown))


def draw(groups: list[np.ndarray], overlap: sp.coo_array, names: list[list[str]], path: Path) -> None:
    """How the documents of features overlap: families are squares on the diagonal."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [tightest(group, overlap, 8) for group in groups[:6]]
    features = np.concatenate(shown)
    table = overlap.tocsr()[features][:, features].toarray()
    np.fill_diagonal(table, np.nan)
    figure, axes = pyplot.subplots(figsize=(9.5, 7), layout="constrained")
    image = axes.imshow(table, cmap="YlOrBr", vmin=0, vmax=np.nanmax(table))
    axes.set_yticks(range(len(features)), [", ".join(names[j]) or str(j) for j in features], fontsize=7)
    axes.set_xticks(range(len(features)), map(str, features), rotation=90, fontsize=6)
    edge = 0
    for group in shown:
        square = pyplot.Rectangle((edge - 0.5, edge - 0.5), len(group), len(group), fill=False, lw=1)
        axes.add_patch(square)
        edge += len(group)
    axes.set(xlabel="feature", title="Features of the largest families, at most eight of each")
    figure.colorbar(image, ax=axes, shrink=0.8, label="overlap of documents (cosine of who is active)")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Trains, names, groups and steers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=49152)
    parser.add_argument("--latents", type=int, default=1536)
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument(
        "--overlap", type=float, default=0.25, help="of the documents of features in a family"
    )
    parser.add_argument("--plot", type=Path, help="write a figure of feature families")
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
    overlap = overlaps(codes, max(10, len(X) // 2000))
    groups = families(overlap, given.overlap)
    print(f"families of features that are active together: {len(groups)}")
    for group in groups[:8]:
        first = "; ".join("/".join(names[j][:2]) for j in tightest(group, overlap, 6))
        print(f"  {len(group):3}: {first}")
    feature = int(next(j for j in order[len(order) // 8 :] if len(names[j]) == 3))
    print(f"steering: feature {feature} ({', '.join(names[feature])}) turned up in '{titles[0][:60]}'")
    turn_up(model, X, titles, 0, feature, 3 * float(codes[:, [feature]].max()))
    if given.plot and groups:
        draw(groups, overlap, names, given.plot)


if __name__ == "__main__":
    main()
