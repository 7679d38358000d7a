"""``python -m latom neighbors`` and ``duplicates``: what is nearest to words, and what repeats another."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from latom.cli.documents import InputError
from latom.cli.report import Corpus, describe, fit_to, print_line, printable


def add_commands(
    commands: Any,
    add_inputs: Callable[..., None],
    positive: Callable[[str], int],
    share: Callable[[str], float],
    paths: str,
) -> None:
    """Add the two commands to the parser; the rest is what :mod:`latom.cli.arguments` has for all."""

    def command(name: str, what: str) -> Any:
        made = commands.add_parser(
            name,
            help=what[0].lower() + what[1:-1],
            description=what,
            epilog=paths,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        add_inputs(made, True)
        return made

    neighbors = command("neighbors", "Print the documents nearest to words, by cosine.")
    neighbors.add_argument("query", metavar="QUERY", help="words, as one argument")
    neighbors.add_argument("-k", type=positive, default=10, metavar="K", help="documents shown (10)")
    duplicates = command("duplicates", "Print groups of documents that are nearly the same.")
    duplicates.add_argument("--cosine", type=share, default=0.8, metavar="C", help="least cosine (0.8)")
    duplicates.add_argument("-k", type=positive, default=10, metavar="K", help="groups shown (10)")


def run(corpus: Corpus, arguments: argparse.Namespace) -> None:
    """Run either command on documents that have been read."""
    if arguments.command == "neighbors":
        print_neighbors(corpus, corpus.vectorizer, arguments.query, arguments.k, arguments.threads)
    else:
        print_duplicates(corpus, arguments.cosine, arguments.k, arguments.threads)


def print_neighbors(corpus: Corpus, vectorizer: Any, words: str, count: int, n_threads: int | None) -> None:
    """The documents nearest to words by the cosine of their TF-IDF weights.

    Parameters
    ----------
    corpus : Corpus
        Documents and their weights.
    vectorizer : object
        What weighed them; None for a matrix, whose terms are counted in the words as they are.
    words : str
        The query.
    count : int
        Documents shown at most.
    n_threads : int or None
    """
    from latom.neighbors import SparseIndex

    start = time.perf_counter()
    index = SparseIndex(corpus.X, n_threads=n_threads)
    packed = time.perf_counter()
    query = _weigh_words(corpus, vectorizer, words)
    values, rows = index.search(query, min(count, len(index)))
    seconds = time.perf_counter() - packed
    print_line(f"{corpus.documents.source}: {len(index):,} documents, packed {packed - start:.2f} s")
    print_line(f"searched {1000 * seconds:.1f} ms")
    print_line("")
    print_line("cosine  document")
    for value, row in zip(values[0], rows[0], strict=True):
        if value > 0:
            print_line(f"{value:6.3f}  {_shown(corpus, row, 8)}")


def print_duplicates(corpus: Corpus, cosine: float, count: int, n_threads: int | None) -> None:
    """Groups of documents that are connected by cosines of at least a number, largest first.

    Parameters
    ----------
    corpus : Corpus
        Documents and their weights.
    cosine : float
        The least cosine of a pair.
    count : int
        Groups shown at most.
    n_threads : int or None
    """
    from latom.neighbors import SparseIndex

    start = time.perf_counter()
    index = SparseIndex(corpus.X, n_threads=n_threads)
    pairs = index.above(corpus.X, np.nextafter(cosine, -1), exclude_self=True)
    seconds = time.perf_counter() - start
    _, label = sparse.csgraph.connected_components(pairs, directed=False)
    sizes = np.bincount(label)
    groups = [group for group in np.argsort(-sizes, kind="stable") if sizes[group] > 1]
    repeated = int(sizes[groups].sum() - len(groups)) if groups else 0
    print_line(f"{corpus.documents.source}: {len(index):,} documents, joined {seconds:.2f} s")
    print_line(
        f"{pairs.nnz // 2:,} pairs of cosine {cosine:g} or more, {len(groups):,} groups, {repeated:,} "
        "documents that repeat another"
    )
    for group in groups[:count]:
        print_line("")
        for row in np.flatnonzero(label == group)[:5]:
            nearest = pairs.data[pairs.indptr[row] : pairs.indptr[row + 1]].max()
            print_line(f"{nearest:6.3f}  {_shown(corpus, row, 8)}")
        if sizes[group] > 5:
            print_line(f"        and {sizes[group] - 5:,} more")


def _weigh_words(corpus: Corpus, vectorizer: Any, words: str) -> Any:
    """The words as a row of weights."""
    if vectorizer is not None:
        query = sparse.csr_matrix(vectorizer.transform([words]))
    else:
        known = {str(term): column for column, term in enumerate(corpus.terms)}
        columns = sorted({known[word] for word in words.lower().split() if word in known})
        ones = np.ones(len(columns), corpus.X.dtype)
        query = sparse.csr_matrix((ones, columns, [0, len(columns)]), shape=(1, corpus.X.shape[1]))
    if not query.nnz:
        raise InputError("QUERY", "hold a term of the documents", repr(words[:80]), "Use other words.")
    return query


def _shown(corpus: Corpus, row: int, used: int) -> str:
    width = min(max(shutil.get_terminal_size((110, 24)).columns - 1, 20), 1000)
    number = int(corpus.rows[row])
    name, text = corpus.documents.pick([number])[number]
    text = printable(describe(name, text, corpus.documents.titled))
    return fit_to(text, max(width - used, 10)).rstrip()
