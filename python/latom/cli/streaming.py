"""What ``python -m latom cluster`` reads block by block: texts and matrices larger than memory."""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

import latom
from latom._base.stream import SUFFIXES
from latom.cli import documents as sources
from latom.cli.documents import Documents, InputError, Track
from latom.cli.reading import TERM, document_counts, no_terms, read_texts, stop_words
from latom.cli.report import Corpus

ENTRIES = 1 << 20  # of a block of counts


def is_matrix(path: Path | None) -> bool:
    """Say whether a path holds rows of numbers that are read block by block: a file, or a folder of such."""
    if path is None:
        return False
    if path.is_dir():
        with sources.readable(path):
            files = [file for file in path.iterdir() if not file.name.startswith(".")]
        return bool(files) and all(file.is_file() and file.suffix in SUFFIXES for file in files)
    return path.suffix in SUFFIXES and path.suffix != ".npz"


class Passing(Documents):
    """Documents that are handed on as they come, and not kept.

    Parameters
    ----------
    visit : callable
        Called with the name and text of each.
    source, titled
        As in `Documents`.
    """

    def __init__(self, visit: Callable[[str, str], None], source: str, titled: bool = False) -> None:
        super().__init__(source, titled=titled)
        self._visit, self._count, self._text = visit, 0, False

    def __len__(self) -> int:
        return self._count

    def add(self, name: str, text: str) -> None:
        self._count += 1
        self._text = self._text or bool(text.strip())
        self._visit(name, text)

    def has_text(self) -> bool:
        return self._text


class ReadAgain(Documents):
    """Documents of which nothing is kept: they are read anew where names or texts are asked for.

    Parameters
    ----------
    source, titled
        As in `Documents`.
    count : int
    read : callable
        Reads all, and calls its argument with the name and text of each.
    """

    def __init__(
        self, source: str, titled: bool, count: int, read: Callable[[Callable[[str, str], None]], Any]
    ) -> None:
        super().__init__(source, titled=titled)
        self._count, self._read = count, read

    def __len__(self) -> int:
        return self._count

    def each(self, visit: Callable[[str], None]) -> None:
        self._all(lambda i, name, text: visit(name))

    def pick(self, numbers: Iterable[int]) -> dict[int, tuple[str, str]]:
        wanted, found = set(map(int, numbers)), {}

        def visit(i: int, name: str, text: str) -> None:
            if i in wanted:
                found[i] = name, text

        self._all(visit)
        return found

    def _all(self, visit: Callable[[int, str, str], None]) -> None:
        seen = itertools.count()

        def next_one(name: str, text: str) -> None:
            i = next(seen)
            if i < self._count:
                visit(i, name, text)

        self._read(next_one)
        found = next(seen)
        if found != self._count:
            must, got = f"stay as it is, {self._count} documents", f"{found} when read again"
            raise InputError(self.source, must, got, "Leave it alone until the command ends.")


class TermCounts:
    """Counts of the terms of documents, in files of a block each, and the weights made of them.

    Every iteration yields the TF-IDF rows of documents that have a term, block by block: sublinear, of
    length 1, in float32, as scikit-learn weighs them.

    Parameters
    ----------
    folder : Path
        Where the counts are kept.
    arguments : argparse.Namespace
        Which terms count.
    """

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self._folder, self._files = folder, list[Path]()
        self._arguments, words = arguments, stop_words(arguments)
        self._analyze = CountVectorizer(stop_words=words, token_pattern=TERM).build_analyzer()
        self._number: dict[str, int] = {}  # of each term, by its first document
        self._columns, self._counts, self._begins = array("i"), array("f"), array("q", [0])
        self._frequency: np.ndarray = np.zeros(0, np.int64)  # documents with a term
        self._total: np.ndarray = np.zeros(0)  # how often it occurs
        self.documents = 0
        self.terms = np.zeros(0, object)

    def add(self, name: str, text: str) -> None:
        """Count the terms of a document."""
        counts = Counter(self._analyze(text))
        number = self._number
        self._columns.extend(number.setdefault(term, len(number)) for term in counts)
        self._counts.extend(counts.values())
        self._begins.append(len(self._columns))
        self.documents += 1
        if len(self._columns) >= ENTRIES:
            self._write()

    def _write(self) -> None:
        if len(self._begins) == 1:
            return
        columns, counts = np.array(self._columns, np.int32), np.array(self._counts, np.float32)
        path = self._folder / f"{len(self._files)}.npz"
        np.savez(path, columns=columns, counts=counts, begins=np.array(self._begins))
        self._files.append(path)
        m = len(self._number)
        self._frequency = np.bincount(columns, minlength=m) + np.pad(
            self._frequency, (0, m - self._frequency.size)
        )
        self._total = np.bincount(columns, counts, m) + np.pad(self._total, (0, m - self._total.size))
        self._columns, self._counts, self._begins = array("i"), array("f"), array("q", [0])

    def choose(self) -> None:
        """Choose the terms that count, when all documents are counted."""
        self._write()
        n, frequency = self.documents, self._frequency
        least, share = document_counts(n, self._arguments)
        most_terms = self._arguments.max_features
        kept = np.flatnonzero((frequency >= least) & (frequency <= share * n))
        if not kept.size:
            raise no_terms(self._arguments.path, n)
        terms = np.fromiter(self._number, object, len(self._number))
        self._number = {}
        kept = kept[np.argsort(terms[kept])]
        if most_terms is not None and most_terms < kept.size:
            kept = kept[np.sort(np.argsort(-self._total[kept], kind="stable")[:most_terms])]
        self._kept, self.terms = kept, terms[kept]
        self._weight = (np.log((1 + n) / (1 + frequency[kept])) + 1).astype(np.float32)

    def __iter__(self) -> Iterator[sparse.csr_array]:
        from sklearn.preprocessing import normalize

        place = np.full(self._frequency.size, -1, np.int32)
        place[self._kept] = np.arange(self._kept.size, dtype=np.int32)
        for path in self._files:
            with np.load(path) as file:
                columns, counts, begins = place[file["columns"]], file["counts"], file["begins"]
            there = columns >= 0
            ends = np.concatenate([[0], np.cumsum(there)])[begins]
            parts = (np.log(counts[there]) + 1, columns[there], ends)
            X = sparse.csr_matrix(parts, shape=(len(begins) - 1, self._kept.size))
            X.sort_indices()
            X.data *= self._weight[X.indices]
            yield sparse.csr_array(normalize(X, copy=False))


class RowsThatCount:
    """The rows of blocks that are not zero, and which these are.

    Parameters
    ----------
    blocks : iterable
        Dense or CSR, the same in every iteration.
    """

    def __init__(self, blocks: Iterable[Any]) -> None:
        self._blocks = blocks
        rows, n, d, entries = [], 0, 0, 0
        for block in blocks:
            kept = _counting(block)
            rows.append(np.flatnonzero(kept) + n)
            entries += int(np.count_nonzero(block.data if sparse.issparse(block) else block))
            n, d = n + block.shape[0], block.shape[1]
        self.rows = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        self.count, self.size = n, (len(self.rows), d, entries)

    def __iter__(self) -> Iterator[Any]:
        for block in self._blocks:
            kept = _counting(block)
            yield block if kept.all() else block[kept]


def _counting(block: Any) -> np.ndarray:
    """Say of each row whether it is anything but zero."""
    kept: Any = np.diff(block.indptr) > 0 if sparse.issparse(block) else np.asarray(block).any(axis=1)
    return np.asarray(kept)


def stream_texts(arguments: argparse.Namespace, track: Track, folder: Path) -> tuple[Corpus, list[str]]:
    """Count the terms of all texts; return the corpus, whose rows are made of the counts, and times."""
    start = time.perf_counter()
    counts = TermCounts(folder, arguments)

    def read(visit: Callable[[str, str], None]) -> Documents:
        return read_texts(arguments, track, lambda *about, **more: Passing(visit, *about, **more))

    passed = read(counts.add)
    counts.choose()
    documents = ReadAgain(passed.source, passed.titled, len(passed), read)
    kept = RowsThatCount(counts)
    times = [f"counted {time.perf_counter() - start:.2f} s"]
    return Corpus(documents, latom.Stream(kept), kept.rows, counts.terms, kept.size), times


def stream_matrix(arguments: argparse.Namespace) -> tuple[Corpus, list[str]]:
    """Look at all rows of numbers once; return the corpus and times."""
    start, path = time.perf_counter(), arguments.path
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what numpy says of files that it cannot read
            kept = RowsThatCount(latom.Stream(path))
    except (MemoryError, InputError):
        raise
    except Exception as error:  # zip, numpy, scipy and pyarrow each have their own for a broken file
        must, got = "hold rows of numbers", sources.one_line(error)[:200]
        raise InputError(path, must, got, "Save them again, and install pyarrow to read tables.") from None
    if not kept.rows.size:
        remedy = "Save the counts or weights of its terms."
        raise InputError(path, "hold a row that is not empty", "zeros only", remedy)
    d = kept.size[1]
    terms = [f"#{j}" for j in range(d)]
    if arguments.vocabulary is not None:
        terms = sources.read_vocabulary(arguments.vocabulary, path, d)

    def read(visit: Callable[[str, str], None]) -> None:
        for i in range(kept.count):
            visit(f"row {i}", "")

    documents = ReadAgain(str(path), True, kept.count, read)
    times = [f"looked {time.perf_counter() - start:.2f} s"]
    return Corpus(documents, latom.Stream(kept), kept.rows, terms, kept.size), times
