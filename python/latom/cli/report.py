"""The table that ``python -m latom cluster`` prints, fitted to the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from latom.cli.documents import Documents


@dataclass
class Corpus:
    """A matrix to cluster, or a stream, and what its rows and columns are called.

    ``rows`` are the documents with at least one term: row i of X is document ``rows[i]``. ``size`` is that of
    X: rows, columns and entries that are not zero.
    """

    documents: Documents
    X: Any
    rows: np.ndarray
    terms: Any
    size: tuple[int, int, int]
    vectorizer: Any = None

    @classmethod
    def of(
        cls, documents: Documents, X: sparse.csr_matrix, rows: np.ndarray, terms: Any, vectorizer: Any
    ) -> Corpus:
        """Make it of a matrix."""
        return cls(documents, X, rows, terms, (*X.shape, X.nnz), vectorizer)


@dataclass
class Clusters:
    """A clustering and what the reports need of it; j is the estimator's label throughout.

    Attributes
    ----------
    labels, cosines : ndarray of shape (n,)
        Of each row of the corpus.
    terms : list of k lists of str
        The heaviest terms of each center.
    history : structured ndarray
        The estimator's ``history_``.
    sizes, means, typical : ndarray of shape (k,)
        Rows, mean cosine and the row nearest to the center (meaningless for no rows).
    order : ndarray of shape (k,)
        Labels by size, largest first.
    """

    labels: np.ndarray
    cosines: np.ndarray
    terms: list[list[str]]
    history: np.ndarray
    sizes: np.ndarray
    means: np.ndarray
    typical: np.ndarray
    order: np.ndarray

    @classmethod
    def of(
        cls, labels: np.ndarray, cosines: np.ndarray, terms: list[list[str]], history: np.ndarray
    ) -> Clusters:
        """Count and average over the rows of each of the ``len(terms)`` clusters."""
        k = len(terms)
        sizes = np.bincount(labels, minlength=k)
        means = np.bincount(labels, cosines, minlength=k) / np.maximum(sizes, 1)
        # Rows by label, best first, lowest first; the typical row heads its label's run.
        rows = np.lexsort((-cosines, labels))
        typical = rows[np.minimum(np.searchsorted(labels[rows], np.arange(k)), rows.size - 1)]
        order = np.argsort(-sizes, kind="stable")
        return cls(labels, cosines, terms, history, sizes, means, typical, order)


def print_report(corpus: Corpus, clusters: Clusters, times: str) -> None:
    """Print the summary, `times` as its second half, and the table."""
    width = shutil.get_terminal_size((110, 24)).columns - 1  # the last column wraps on some
    width = min(max(width, 20), 1000)  # COLUMNS may say anything
    n, d, nnz = corpus.size
    left_out = len(corpus.documents) - n
    counts = f"{n:,} documents"
    if left_out:
        counts += f" ({left_out:,} without terms left out)"
    counts += f", {d:,} terms, {nnz:,} nonzeros"
    for line in (f"{corpus.documents.source}: {counts}", times):
        print_line(textwrap.fill(printable(line), width))
    print_line("")
    for line in _table(corpus.documents, corpus.rows, clusters, width):
        print_line(line)


def _table(documents: Documents, rows: np.ndarray, clusters: Clusters, width: int) -> list[str]:
    """Lay the clusters out, largest first, in lines of at most `width` columns."""
    label_width = max(len("cluster"), len(str(clusters.order.size - 1)))
    size_width = max(len("size"), len(f"{clusters.sizes.max():,}"))
    left = f"{{:>{label_width}}}  {{:>{size_width}}}  {{:>6}}  "
    room = max(width - len(left.format("", "", "")), 20)
    widest = max(len("top terms"), *(_columns(", ".join(terms)) for terms in clusters.terms))
    # Both columns are worth half the room; the terms give back what they do not need. Under
    # some width half a line says nothing, and the terms come first.
    terms_width = min(widest, room // 2) if room >= 50 else room
    room -= terms_width + 2
    typical = rows[clusters.typical]
    picked = documents.pick(typical[clusters.sizes > 0]) if room > 0 else {}

    header = left.format("cluster", "size", "cosine") + fit_to("top terms", terms_width)
    lines = [header + "  typical document" if room > 0 else header.rstrip()]
    for j in clusters.order:
        line = left.format(j, f"{clusters.sizes[j]:,}", f"{clusters.means[j]:.3f}")
        line += fit_to(_join_to(clusters.terms[j], terms_width), terms_width)
        if room > 0 and clusters.sizes[j]:
            line += "  " + fit_to(describe(*picked[int(typical[j])], documents.titled), room)
        lines.append(line.rstrip())
    return lines


def describe(name: str, text: str, titled: bool) -> str:
    """Return the name of a document, if it has one, and how it begins."""
    excerpt = text[:400]
    if not titled:
        return excerpt
    return f"{name}: {excerpt}" if excerpt else name


def _join_to(terms: list[str], width: int) -> str:
    """Join as many whole terms as fit."""
    joined = ""
    for term in terms:
        longer = f"{joined}, {term}" if joined else term
        if joined and _columns(longer) > width:
            break
        joined = longer
    return joined


def fit_to(text: str, width: int) -> str:
    """Cut or pad `text` to exactly `width` terminal columns, on one line."""
    text = printable(text)
    if text.isascii() and len(text) <= width:
        return text.ljust(width)
    kept, used = "", 0
    total = _columns(text)
    limit = width if total <= width else width - 3
    for character in text:
        step = _columns(character)
        if used + step > limit:
            break
        kept, used = kept + character, used + step
    if total > width:
        kept, used = kept.rstrip() + "...", _columns(kept.rstrip()) + 3
    return kept + " " * (width - used)


def _columns(text: str) -> int:
    """Count terminal columns: two for wide East Asian characters, none for combining ones."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def printable(text: str) -> str:
    """Put `text` on one line, without the control characters that would steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def print_line(text: str) -> None:
    """Print where stdout may not know every character: a question mark beats a traceback."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))
