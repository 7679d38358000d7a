"""From the arguments of a command to a corpus: texts are read and weighed, a matrix is taken as it is."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from latom.cli import documents as sources
from latom.cli import tables
from latom.cli.documents import Documents, InputError, Make, Track
from latom.cli.report import Corpus

TERM = r"(?u)\b[^\W\d_]\w+\b"  # words, not numbers


def read_texts(arguments: argparse.Namespace, track: Track, make: Make = Documents) -> Documents:
    """Read the texts that PATH holds."""
    path, encoding = arguments.path, arguments.encoding
    if path.is_dir():
        documents = sources.read_folder(path, encoding, track, make)
    elif path.suffix.lower() in tables.SUFFIXES:
        documents = tables.read_table(path, arguments.column, encoding, track, make)
    else:
        documents = sources.read_lines(path, encoding, track, make)
    documents.require_text(path)
    return documents


def document_counts(n: int, arguments: argparse.Namespace) -> tuple[int, float]:
    """In how many of n documents a term must be at least, and in what share of them at most.

    Thresholds grow with the corpus, so that a small one keeps its words.
    """
    least = arguments.min_df or (1 if n < 100 else 2 if n < 10_000 else 5)
    return least, arguments.max_df or (1.0 if n < 100 else 0.5)


def stop_words(arguments: argparse.Namespace) -> str | list[str] | None:
    """Words that are no terms, as scikit-learn takes them. Those of a file are cut as texts are."""
    given = arguments.stop_words
    if not isinstance(given, Path):
        return None if given == "none" else "english"
    words = re.compile(TERM)
    found = {
        word for _, line in sources.lines(given, arguments.encoding) for word in words.findall(line.lower())
    }
    return sorted(found) or None


def no_terms(path: Any, n: int) -> InputError:
    """What is wrong where nothing is left but stop words, and terms that are too rare or too common."""
    remedy = "Lower --min-df, raise --max-df, or pass longer or more varied documents."
    got = f"{n} document{'s' * (n != 1)} without"
    return InputError(
        path, "hold terms other than stop words, rare ones and those of most documents", got, remedy
    )


def read_corpus(arguments: argparse.Namespace, track: Track) -> tuple[Corpus, list[str]]:
    """Return the corpus and, for the summary, how long it took."""
    path, vectorizer = arguments.path, None
    start = time.perf_counter()
    if path is not None and path.suffix.lower() == ".npz" and not path.is_dir():
        X, terms = sources.read_matrix(path, arguments.vocabulary)
        names = [f"row {i}" for i in range(X.shape[0])]
        documents = Documents(str(path), texts=[""] * len(names), names=names, titled=True)
        times = [f"read {time.perf_counter() - start:.2f} s"]
    else:
        documents = sources.standard_library(track) if path is None else read_texts(arguments, track)
        times = [f"read {time.perf_counter() - start:.2f} s"]
        X, vectorizer, seconds = _weigh(documents, arguments, track)
        terms = vectorizer.get_feature_names_out()
        times.append(f"vectorized {seconds:.2f} s")
    rows = np.flatnonzero(np.diff(X.indptr))
    if not rows.size:
        raise InputError(
            path, "hold a row that is not empty", "zeros only", "Save the counts or weights of its terms."
        )
    return Corpus.of(documents, X if rows.size == X.shape[0] else X[rows], rows, terms, vectorizer), times


def _weigh(
    documents: Documents, arguments: argparse.Namespace, track: Track
) -> tuple[sparse.csr_matrix, Any, float]:
    """Return TF-IDF rows, what made them and the seconds, those of importing scikit-learn apart."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    start = time.perf_counter()
    n = len(documents)
    least, most = document_counts(n, arguments)
    vectorizer = TfidfVectorizer(
        dtype=np.float32,
        sublinear_tf=True,
        stop_words=stop_words(arguments),
        token_pattern=TERM,
        min_df=least,
        max_df=most,
        max_features=arguments.max_features,
    )
    try:
        X = vectorizer.fit_transform(track(documents.texts, desc="vectorizing", unit=" documents"))
    except ValueError:
        raise no_terms(arguments.path, n) from None
    return X, vectorizer, time.perf_counter() - start
