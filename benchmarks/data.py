"""The data that benchmarks run on: real when `LATOM_DATA` names a folder, else generated.

`sparse_corpus` and `dense_corpus` are what most cases ask for. `save` and `load` carry a problem (named
dense and CSR arrays) to the process that measures it, see `runner.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

Problem = dict[str, Any]  # name -> numpy.ndarray or scipy.sparse.csr_array


@dataclass(frozen=True)
class Corpus:
    """Unit rows, sparse (document-term) or dense (embeddings), and the name that reports give them."""

    name: str
    X: Any  # csr_array or ndarray [n, d]


def data_folder() -> Path | None:
    """Folder named by the environment variable `LATOM_DATA`, or None where it is not set."""
    name = os.environ.get("LATOM_DATA", "")
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"LATOM_DATA must name a folder; got {name!r}.")
    return folder


def sparse_corpus(dtype: Any = np.float32) -> Corpus:
    """arXiv abstracts from `LATOM_DATA` where that is set, else a Zipf corpus of 40 000 rows."""
    folder = data_folder()
    if folder is None:
        X, _ = zipf_corpus(40_000, 20_000, 500, seed=0, dtype=dtype)
        return Corpus("zipf", X)
    return Corpus("arXiv abstracts, TF-IDF", arxiv_tfidf(folder, dtype))


def bm25_corpus(queries: int, words: int) -> tuple[Corpus, sp.csr_array]:
    """BM25 weights of the documents of :func:`sparse_corpus`, and queries of so many words of some of them.

    The weights are those of Lucene's variant with k1 = 1.5 and b = .75, what bm25s computes by default, in
    float32. Queries [queries, d] hold ones. Without `LATOM_DATA` every word stands once in its document.
    """
    folder = data_folder()
    if folder is None:
        counts = zipf_corpus(40_000, 20_000, 500, seed=0)[0]
        counts.data[:] = 1
    else:
        counts = arxiv_counts(folder)
    n, d = counts.shape
    df = np.bincount(counts.indices, minlength=d)
    idf = np.log(1 + (n - df + 0.5) / (df + 0.5))
    tf = counts.data.astype(np.float64)
    lengths = np.add.reduceat(tf, counts.indptr[:-1])
    row = np.repeat(np.arange(n), np.diff(counts.indptr))
    weights = idf[counts.indices] * tf / (tf + 1.5 * (0.25 + 0.75 * lengths[row] / lengths.mean()))
    indices, indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)
    documents = sp.csr_array((weights.astype(np.float32), indices, indptr), shape=(n, d))
    rng = np.random.default_rng(0)
    long = rng.choice(np.flatnonzero(np.diff(indptr) >= words), queries, replace=False)
    drawn = [np.sort(rng.choice(indices[indptr[j] : indptr[j + 1]], words, replace=False)) for j in long]
    columns = np.concatenate(drawn).astype(np.int32)
    ends = np.arange(0, queries * words + 1, words, dtype=np.int32)
    asked = sp.csr_array((np.ones(len(columns), np.float32), columns, ends), shape=(queries, d))
    return Corpus("zipf, BM25" if folder is None else "arXiv abstracts, BM25", documents), asked


def dense_corpus() -> Corpus:
    """MiniLM embeddings from `LATOM_DATA` where that is set, else 20 000 generated rows."""
    folder = data_folder()
    if folder is None:
        return Corpus("generated embeddings", generated_embeddings(20_000, 384, 200))
    X = np.load(folder / "arxiv-minilm.npy").astype(np.float32)
    return Corpus("MiniLM embeddings", X / np.linalg.norm(X, axis=1, keepdims=True))


def activations() -> Corpus:
    """MLP activations of MiniLM from `LATOM_DATA` where that is set, else 8 000 generated rows."""
    folder = data_folder()
    if folder is None:
        codes = np.maximum(normal_rows(8000, 60, 0) - 1, 0)
        X = np.maximum(codes @ normal_rows(60, 512, 1) + normal_rows(8000, 512, 2) / 2, -0.17)
        return Corpus("generated activations", X.astype(np.float32))
    with np.load(folder / "minilm-activations.npz") as file:
        return Corpus("MiniLM activations", file["mlp"].astype(np.float32))


def choices() -> Corpus:
    """Generated pairs of 138 000 users and 27 000 items, 8.4 M of them, in the degrees of MovieLens 20M."""
    n, m = 138_000, 27_000
    rng = np.random.default_rng(0)
    degrees = np.minimum(np.exp(rng.normal(3.6, 1.1, n)).astype(np.int64) + 5, 3000)
    chances = np.arange(1, m + 1) ** -0.9
    columns = rng.choice(m, degrees.sum(), p=chances / chances.sum())
    rows = np.repeat(np.arange(n), degrees)
    X = sp.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(n, m))
    X.sum_duplicates()
    X.data[:] = 1
    return Corpus("generated pairs", X)


def ratings() -> Problem:
    """Stars for the pairs of `choices`: biases, a product of 16 factors, noise; a tenth is held out.

    `X` has what is known, `values` those held out at `rows` and `columns`; halves of a star from 0.5 to 5.
    """
    whole = choices().X.tocoo()
    rng = np.random.default_rng(1)
    n, m = whole.shape
    U, V = (rng.standard_normal((size, 16)).astype(np.float32) for size in (n, m))
    stars = 3.5 + 0.4 * rng.standard_normal(n)[whole.row] + 0.5 * rng.standard_normal(m)[whole.col]
    for start in range(0, whole.nnz, 1 << 20):
        part = slice(start, start + (1 << 20))
        stars[part] += 0.15 * np.einsum("pc,pc->p", U[whole.row[part]], V[whole.col[part]])
    stars += 0.6 * rng.standard_normal(whole.nnz)
    stars = np.clip(np.round(2 * stars), 1, 10).astype(np.float32) / 2
    out = rng.random(whole.nnz) < 0.1
    known = sp.csr_array((stars[~out], (whole.row[~out], whole.col[~out])), shape=whole.shape)
    places = {"rows": whole.row[out].astype(np.int64), "columns": whole.col[out].astype(np.int64)}
    return {"X": known, "values": stars[out]} | places


def token_documents(count: int, tokens: int) -> Corpus:
    """Unit token vectors [count, tokens, 384] of MiniLM, from anywhere in the text; or drawn around words."""
    rng = np.random.default_rng(0)
    folder = data_folder()
    if folder is None:
        words = normal_rows(2000, 384, 0)
        stream = words[rng.integers(0, 2000, 20_000) // rng.integers(1, 40, 20_000)] + 0.7 * normal_rows(
            20_000, 384, 1
        )
        name = "generated tokens"
    else:
        with np.load(folder / "minilm-activations.npz") as file:
            stream = file["residual"].astype(np.float32)
        name = "MiniLM tokens"
    stream = stream / np.linalg.norm(stream, axis=1, keepdims=True)
    first = rng.integers(0, len(stream) - tokens, count)
    return Corpus(name, np.ascontiguousarray(stream[first[:, None] + np.arange(tokens)], np.float32))


def mnist() -> Corpus:
    """MNIST digits [10 000, 784] from `LATOM_DATA` where that is set, else mixtures of 30 images."""
    folder = data_folder()
    if folder is None:
        rng = np.random.default_rng(0)
        images = np.maximum(0, rng.standard_normal((30, 784), dtype=np.float32))
        X = np.maximum(0, rng.standard_normal((10_000, 30), dtype=np.float32)) @ images
        return Corpus("generated images", X + np.abs(rng.standard_normal(X.shape, dtype=np.float32)))
    with np.load(folder / "mnist-test.npz") as file:
        return Corpus("MNIST", file["X"].astype(np.float32) / np.float32(255))


def kdd() -> Corpus:
    """KDD Cup 1999 [494 021, 38], standardized columns, from `LATOM_DATA`; else 20 000 rows, some equal."""
    folder = data_folder()
    if folder is None:
        different = mixture(2000, 38, 20, seed=0)
        return Corpus("generated connections", different[np.random.default_rng(0).integers(0, 2000, 20_000)])
    with np.load(folder / "kddcup99-10pct.npz") as file:
        X = file["X"].astype(np.float64)
    deviation = X.std(axis=0)
    X = (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return Corpus("KDD", X.astype(np.float32))


def skin() -> Corpus:
    """Colors of pixels [245 057, 3], whole numbers, from `LATOM_DATA`; else 20 000 generated ones."""
    folder = data_folder()
    if folder is None:
        return Corpus("generated colors", np.rint(40 * mixture(20_000, 3, 10, seed=0) + 128))
    with np.load(folder / "skin.npz") as file:
        return Corpus("skin", file["X"].astype(np.float32))


def mixture(n: int, d: int, components: int, seed: int = 0) -> np.ndarray:
    """Rows [n, d] float32: one of `components` standard normal centers plus half a standard normal."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((components, d), dtype=np.float32)
    X = centers[rng.integers(0, components, n)]
    X += rng.standard_normal((n, d), dtype=np.float32) / 2
    return X


def one_hot(n: int, columns: int, values: int, groups: int, seed: int = 0) -> sp.csr_array:
    """One-hot codes [n, columns · values] float32 of table rows: in each column one of `values` values.

    A row belongs to one of `groups`. A group has a favorite value in each column, which 70 % of its rows
    take; the others draw one, the v-th with probability proportional to 1 / (1 + v).
    """
    rng = np.random.default_rng(seed)
    favorites = rng.integers(0, values, (groups, columns))
    chosen = favorites[rng.integers(0, groups, n)]
    others = _zipf_draws(rng, values, 1.0, n * columns).reshape(n, columns)
    chosen = np.where(rng.random((n, columns)) < 0.7, chosen, others)
    indices = (chosen + values * np.arange(columns)).astype(np.int32)
    indptr = np.arange(0, n * columns + 1, columns, dtype=np.int32)
    return sp.csr_array(
        (np.ones(n * columns, np.float32), indices.ravel(), indptr), shape=(n, columns * values)
    )


def generated_embeddings(n: int, d: int, n_topics: int, seed: int = 0) -> np.ndarray:
    """Unit rows [n, d] float32: one of `n_topics` unit directions plus normal noise of equal length."""
    rng = np.random.default_rng(seed)
    topics = unit_rows(n_topics, d, seed + 1)
    X = topics[rng.integers(0, n_topics, n)]
    X += rng.standard_normal((n, d), dtype=np.float32) / np.float32(np.sqrt(d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X


def normal_rows(n: int, d: int, seed: int) -> np.ndarray:
    """Independent standard normal entries [n, d], float32, by PCG64 from `seed`."""
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


def unit_rows(n: int, d: int, seed: int) -> np.ndarray:
    """`normal_rows` scaled to unit length: directions without preference."""
    X = normal_rows(n, d, seed)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X


def random_codes(n: int, m: int, k: int, seed: int = 0) -> sp.csr_array:
    """CSR codes [n, m]: in each row k distinct atoms, uniform and ascending, with |normal| values, float32.

    The atoms are drawn without replacement as one of each of k equal ranges; m must be divisible by k.
    """
    rng = np.random.default_rng(seed)
    width = m // k
    indices = (rng.integers(0, width, (n, k)) + width * np.arange(k)).astype(np.int32)
    values = np.abs(rng.standard_normal(n * k, dtype=np.float32))
    indptr = np.arange(0, n * k + 1, k, dtype=np.int32)
    return sp.csr_array((values, indices.ravel(), indptr), shape=(n, m))


def arxiv_tfidf(folder: Path, dtype: Any = np.float32) -> sp.csr_array:
    """TF-IDF of arXiv titles and abstracts, from the term counts in `arxiv-counts.npz`.

    Parameters
    ----------
    folder : Path
        Holds `arxiv-counts.npz`: CSR term counts as `data`, `indices`, `indptr` and `shape`.
    dtype : dtype
        Of the result; the weights are computed in float64.

    Returns
    -------
    csr_array [140256, 41504]
        Unit rows, int32 indices.
    """
    return tfidf(arxiv_counts(folder), dtype)


def arxiv_counts(folder: Path) -> sp.csr_array:
    """Term counts of the arXiv abstracts [140256, 41504]."""
    with np.load(folder / "arxiv-counts.npz") as file:
        parts = (file["data"], file["indices"], file["indptr"])
        return sp.csr_array(parts, shape=tuple(file["shape"]))


def tfidf(counts: sp.csr_array, dtype: Any = np.float32) -> sp.csr_array:
    """Unit rows of (1 + ln tf) · (1 + ln((1 + n) / (1 + df))), int32 indices."""
    n, d = counts.shape
    df = np.bincount(counts.indices, minlength=d)
    idf = 1.0 + np.log((1.0 + n) / (1.0 + df))
    weights = (1.0 + np.log(counts.data.astype(np.float64))) * idf[counts.indices]
    lengths = np.diff(counts.indptr)
    row = np.repeat(np.arange(n), lengths)
    norms = np.sqrt(np.bincount(row, weights * weights, minlength=n))
    weights /= norms[row]
    indices, indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)
    return sp.csr_array((weights.astype(dtype), indices, indptr), shape=(n, d))


def zipf_corpus(
    n: int, d: int, n_topics: int, seed: int = 0, dtype: Any = np.float32
) -> tuple[sp.csr_array, np.ndarray]:
    """Generate a TF-IDF matrix with planted clusters and the term frequencies of real text.

    Every document has one topic, drawn with probability proportional to 1 / (10 + topic), and a
    length of about 90 words (log-normal). Half of its words come from a background that all share,
    term t with probability proportional to 1 / (3 + t); the other half from its topic's 150 own
    terms, which are spread over the vocabulary and follow 1 / (3 + rank) too. So a few terms are in
    most rows, most terms are in a few, and the clusters are there to be found but overlap.

    Parameters
    ----------
    n, d, n_topics : int
        Documents, terms, and planted clusters.
    seed : int
        Same seed, same corpus.
    dtype : dtype
        Of the stored weights.

    Returns
    -------
    X : csr_array [n, d]
        Unit rows, see `tfidf`; about 60 entries per row.
    topics : ndarray of int64 [n]
        The planted topic of each row.
    """
    rng = np.random.default_rng(seed)
    own_terms = rng.integers(0, d, size=(n_topics, 150))
    topics = _zipf_draws(rng, n_topics, 10.0, n)
    lengths = np.clip(rng.lognormal(np.log(90.0), 0.4, n), 5, 1000).astype(np.int64)
    row = np.repeat(np.arange(n), lengths)
    terms = _zipf_draws(rng, d, 3.0, len(row))
    of_topic = rng.random(len(row)) < 0.5
    ranks = _zipf_draws(rng, own_terms.shape[1], 3.0, int(of_topic.sum()))
    terms[of_topic] = own_terms[topics[row[of_topic]], ranks]
    counts = sp.coo_array((np.ones(len(row), np.int32), (row, terms)), shape=(n, d)).tocsr()
    return tfidf(counts, dtype), topics


def _zipf_draws(rng: np.random.Generator, size: int, shift: float, count: int) -> np.ndarray:
    """Draw `count` integers below `size`, i with probability proportional to 1 / (shift + i)."""
    cumulative = np.cumsum(1.0 / (shift + np.arange(size)))
    draws: np.ndarray = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    return draws


def sample_rows(X: Any, count: int, seed: int = 0) -> Any:
    """`count` random rows of X in their order, or X itself where it has no more."""
    if count >= X.shape[0]:
        return X
    rows = np.random.default_rng(seed).choice(X.shape[0], count, replace=False)
    return X[np.sort(rows)]


def initial_rows(X: Any, m: int, seed: int = 0) -> Any:
    """Initial centers: m random rows of X that are not empty."""
    rows = np.flatnonzero(np.diff(X.indptr)) if sp.issparse(X) else np.arange(X.shape[0])
    return X[np.random.default_rng(seed).choice(rows, m, replace=False)]


def save(problem: Problem, folder: Path) -> None:
    """Write each array, number and string of a problem to `folder` as plain `.npy` files."""
    for name, array in problem.items():
        if isinstance(array, sp.csr_array):
            for part in ("data", "indices", "indptr", "shape"):
                np.save(folder / f"{name}.{part}.npy", np.asarray(getattr(array, part)))
        else:
            np.save(folder / f"{name}.npy", array)


def load(folder: Path) -> Problem:
    """Read what `save` wrote. Leaves nothing but the arrays in memory."""
    arrays = {path.name[: -len(".npy")]: np.load(path) for path in sorted(folder.glob("*.npy"))}
    problem: Problem = {}
    for name in arrays:
        stem, _, part = name.rpartition(".")
        if not stem:
            problem[name] = arrays[name]
        elif part == "data":
            parts = tuple(arrays[f"{stem}.{p}"] for p in ("data", "indices", "indptr"))
            problem[stem] = sp.csr_array(parts, shape=tuple(arrays[f"{stem}.shape"].tolist()))
    return problem
