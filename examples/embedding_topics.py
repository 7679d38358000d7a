"""Topics of embeddings, named by words, beside topics of the words themselves.

    LATOM_DATA=/folder/with/data python examples/embedding_topics.py [--plot topics.png]

Topic models on embeddings group documents by what a language model makes of them, and name the groups by
words. BERTopic (Grootendorst, "BERTopic: neural topic modeling with a class-based TF-IDF procedure", 2022)
and Top2Vec (Angelov, "Top2Vec: distributed representations of topics", 2020) cluster; S3 (Kardos et al.,
"S3 - semantic signal separation", 2024) decomposes into directions. Here spherical k-means stands for
clusters and semi-NMF, whose codes say how much of a topic a document has, for directions. Names come by
class-based TF-IDF, a cluster's counts of words times the logarithm of how rare a word is among clusters, or
are the words whose vectors lie in a topic's direction; a word's vector is the mean embedding of the
documents that it occurs in. Beside them stands NMF of TF-IDF, which knows no embeddings.

Coherence is NPMI of a topic's ten words, by how often two occur together in documents that no model has
seen; diversity is the share of distinct words among all topics' words. Claim: topics of embeddings are more
coherent than those of words, and those of directions more diverse than clusters. The documents are 49 152
abstracts of arXiv with MiniLM embeddings; the others of arXiv say what occurs together. Without data,
documents are drawn from planted topics.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import normalized_mutual_info_score

from latom import NMF, SemiNMF, SphericalKMeans

WORDS = 10  # that name a topic
SHRINK = 50  # documents; by so many a word's mean is drawn to that of all

# (embeddings, their counts, counts of other documents, words, categories)
Corpus = tuple[np.ndarray, Any, Any, np.ndarray, np.ndarray]


def made_up(topics: int, documents: int = 3000, words: int = 400) -> Corpus:
    """Documents of planted topics, which mix a little, and embeddings near their topics' directions."""
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.full(words, 0.05), topics)
    topic = rng.integers(topics, size=2 * documents)
    mixture = 0.8 * np.eye(topics)[topic] + 0.2 * rng.dirichlet(np.full(topics, 0.5), len(topic))
    counts = sp.csr_array(rng.poisson(60 * mixture @ said))
    X = mixture[:documents] @ rng.standard_normal((topics, 32)) + 0.3 * rng.standard_normal((documents, 32))
    own = said.argmax(axis=0)
    names = np.array([f"t{own[w]}-word{w}" for w in range(words)])
    return X.astype(np.float32), counts[:documents], counts[documents:], names, topic[:documents]


def arxiv(folder: Path) -> Corpus:
    """Abstracts with embeddings, and those without."""
    import lzma

    X = np.load(folder / "arxiv-minilm.npy").astype(np.float32)
    rows = np.load(folder / "arxiv-minilm-rows.npy")
    with np.load(folder / "arxiv-counts.npz") as file:
        counts = sp.csr_array((file["data"], file["indices"], file["indptr"]), shape=tuple(file["shape"]))
    with lzma.open(folder / "arxiv-vocabulary.txt.xz", "rt", encoding="utf-8") as file:
        names = np.array(file.read().split("\n")[: counts.shape[1]])
    with lzma.open(folder / "arxiv-meta.tsv.xz", "rt", encoding="utf-8") as file:
        category = np.array([line.split("\t")[1] for line in file.read().split("\n") if line])
    others = np.setdiff1d(np.arange(counts.shape[0]), rows)
    return X, counts[rows], counts[others], names, category[rows]


def common(own: Any, others: Any, names: np.ndarray) -> tuple[Any, Any, np.ndarray]:
    """Counts of words that are neither rare nor everywhere, which name nothing."""
    seen = np.bincount(own.indices, minlength=own.shape[1])
    kept = np.flatnonzero((seen >= 20) & (seen < 0.1 * own.shape[0]))
    return sp.csr_array(own[:, kept], dtype=np.float32), sp.csr_array(others[:, kept]), names[kept]


def tf_idf(counts: Any) -> Any:
    """Unit rows of sublinear counts times the logarithm of rarity."""
    X = counts.copy()
    seen = np.bincount(X.indices, minlength=X.shape[1])
    X.data = (1 + np.log(X.data)) * np.log(X.shape[0] / np.maximum(seen, 1))[X.indices].astype(X.dtype)
    length = np.sqrt(X.multiply(X).sum(axis=1))
    return sp.csr_array(sp.diags_array(1 / np.where(length > 0, length, 1)) @ X).astype(np.float32)


def class_tf_idf(codes: np.ndarray, counts: Any) -> np.ndarray:
    """Importances of words [topics, words], of documents weighed by codes [documents, topics]."""
    said = codes.T @ counts
    share = said / np.maximum(said.sum(axis=1, keepdims=True), 1e-12)
    whole = said.sum(axis=0)
    importance: np.ndarray = share * np.log1p(said.sum() / len(said) / np.maximum(whole, 1e-12))
    return importance


def word_vectors(X: np.ndarray, counts: Any) -> np.ndarray:
    """What documents with a word have beyond all documents, on average; less for words in few of them."""
    has = sp.csr_array(counts > 0, dtype=np.float32)
    seen = has.sum(axis=0)[:, None]
    vectors: np.ndarray = (has.T @ X - seen * X.mean(axis=0)) / (seen + SHRINK)
    return vectors


def along(directions: Any, vectors: np.ndarray) -> np.ndarray:
    """Importances of words [topics, words]: how far their vectors reach in a topic's own direction."""
    own = directions - directions.mean(axis=0)
    importance: np.ndarray = own @ vectors.T
    return importance


def npmi(top: np.ndarray, others: Any) -> np.ndarray:
    """The mean over pairs of a topic's words of their normalized pointwise mutual information [topics]."""
    words = np.unique(top)
    has = sp.csr_array(others[:, words] > 0, dtype=np.float64)
    n = has.shape[0]
    both = (has.T @ has).toarray() / n
    single = np.diag(both)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.log(both / np.outer(single, single)) / -np.log(both)
    each[both == 0] = -1
    place = np.searchsorted(words, top)
    first, second = np.triu_indices(top.shape[1], 1)
    means: np.ndarray = np.nan_to_num(each, nan=-1)[place[:, first], place[:, second]].mean(axis=1)
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topics", type=int, default=50)
    parser.add_argument("--plot", type=Path, metavar="FILE")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    k, folder = given.topics, os.environ.get("LATOM_DATA")
    X, own, others, names, category = arxiv(Path(folder)) if folder else made_up(k)
    own, others, names = common(own, others, names)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    print(f"{len(X)} documents, {len(names)} words, {k} topics; coherence by {others.shape[0]} others")
    vectors = word_vectors(X, own)
    found: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}  # codes, importances of words, seconds
    begin = time.perf_counter()
    clusters = SphericalKMeans(k, random_state=0).fit(X)
    codes, seconds = np.eye(k, dtype=np.float32)[clusters.labels_], time.perf_counter() - begin
    found["k-means, TF-IDF"] = codes, class_tf_idf(codes, own), seconds
    found["k-means, vectors"] = codes, along(clusters.cluster_centers_, vectors), seconds
    begin = time.perf_counter()
    directions = SemiNMF(k, init="kmeans", max_iter=10, random_state=0)
    codes = directions.fit_transform(X)
    found["semi-NMF, vectors"] = codes, along(directions.components_, vectors), time.perf_counter() - begin
    begin = time.perf_counter()
    words = NMF(k, random_state=0)
    codes = words.fit_transform(tf_idf(own))
    found["NMF of TF-IDF"] = codes, words.components_, time.perf_counter() - begin

    print(f"{'':22}{'coherence':>10}{'diversity':>11}{'NMI with categories':>21}{'seconds':>9}")
    coherence: dict[str, np.ndarray] = {}
    tops: dict[str, np.ndarray] = {}
    for name, (codes, importance, seconds) in found.items():
        tops[name] = np.argsort(-importance, axis=1, kind="stable")[:, :WORDS]
        coherence[name] = npmi(tops[name], others)
        diversity = len(np.unique(tops[name])) / tops[name].size
        agreement = normalized_mutual_info_score(category, codes.argmax(axis=1))
        print(f"{name:22}{coherence[name].mean():10.3f}{diversity:11.2f}{agreement:21.3f}{seconds:9.1f}")
    for name in ("k-means, TF-IDF", "semi-NMF, vectors"):
        print(f"\nthe most coherent topics of {name}, and the least coherent")
        order = np.argsort(-coherence[name])
        for c in [*order[:4], order[-1]]:
            print(f"  {coherence[name][c]:6.3f}  " + ", ".join(names[tops[name][c]]))
    means = ", ".join(f"{name} {values.mean():.3f}" for name, values in coherence.items())
    print("\nclaim: topics of embeddings are more coherent than those of words")
    print(f"seen: {means}")
    if given.plot:
        draw(coherence, given.plot)


def draw(coherence: dict[str, np.ndarray], path: Path) -> None:
    """Coherence of the topics, from the best to the worst."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
    for name, values in coherence.items():
        ax.plot(
            np.arange(1, len(values) + 1), np.sort(values)[::-1], label=f"{name}, mean {values.mean():.2f}"
        )
    ax.set(xlabel="topics, the most coherent first", ylabel="NPMI of ten words")
    ax.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
