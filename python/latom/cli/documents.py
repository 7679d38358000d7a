"""What ``python -m latom cluster`` reads: folders, line files, matrices, docstrings.

Every reader returns its documents in an order that depends on the input alone, and reports a file
that it cannot use as one `InputError` whose text says what is wrong, where, and what to do.
"""

from __future__ import annotations

import ast
import io
import json
import os
import platform
import re
import sysconfig
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

Track = Callable[..., Iterable[Any]]
"""Wraps an iterable to show progress: ``track(items, desc=..., unit=...)``, as `tqdm.tqdm`."""

_WIDE = ("utf-16", "utf-32")  # in these a NUL byte is ordinary
_SHORTEST_DOCSTRING = 15  # words; below it a docstring says too little to be placed
_NOT_LIBRARY = {"test", "tests", "idle_test", "site-packages", "dist-packages", "pydoc_data"}
# What "surrogateescape" makes of an undecodable byte. Decoding that way and searching each line
# for it gives the exact line of the first bad byte, which a strict decoder cannot tell.
_BAD_BYTE = re.compile("[\udc80-\udcff]")


class InputError(ValueError):
    """A file or an option that cannot be used; the text is the whole message for the user."""

    def __init__(self, subject: object, constraint: str, got: object, remedy: str) -> None:
        super().__init__(f"{subject} must {constraint}; got {got}. {remedy}")


@dataclass
class Documents:
    """Texts with a name each.

    Attributes
    ----------
    source : str
        Where they come from, for people.
    texts, names : list of str
        One entry a document, in the order of the input; a document may be empty.
    titled : bool
        Whether the names tell a reader something (a title, a path) or merely count.
    """

    source: str
    texts: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    titled: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str, text: str) -> None:
        self.names.append(name)
        self.texts.append(text)

    def each(self, visit: Callable[[str], None]) -> None:
        """Visit the name of every document, in order."""
        for name in self.names:
            visit(name)

    def pick(self, numbers: Iterable[int]) -> dict[int, tuple[str, str]]:
        """Return the name and text of some documents."""
        return {i: (self.names[i], self.texts[i]) for i in map(int, numbers)}

    def has_text(self) -> bool:
        return any(text.strip() for text in self.texts)

    def require_text(self, path: Path | None) -> None:
        """Raise `InputError` unless at least one document has text."""
        if self.has_text():
            return
        n = len(self)
        got = f"{n} document{'s' * (n != 1)}, all empty" if n else "an empty file"
        raise InputError(path, "hold at least one document with text", got, "Pass a file with text.")


Make = Callable[..., Documents]
"""Makes what a reader adds documents to: ``make(source, titled=...)``, as `Documents`."""


def read_folder(path: Path, encoding: str, track: Track, make: Make = Documents) -> Documents:
    """Read every text file below `path`, hidden ones apart, in the order of their paths.

    Files with a NUL byte are binary: they are skipped, and ``source`` counts them.
    """
    with readable(path):
        files = sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not any(part[0] == "." for part in file.relative_to(path).parts)
        )
    documents = make(str(path), titled=True)
    skipped = 0
    for file in track(files, desc="reading", unit=" files"):
        with readable(file):
            content = file.read_bytes()
        if b"\0" in content and not encoding.startswith(_WIDE):
            skipped += 1
            continue
        try:
            text = content.decode(_codec(encoding), errors="surrogateescape")
        except UnicodeError as error:
            raise _not_text(file, encoding, one_line(error)) from None
        documents.add(file.relative_to(path).as_posix(), _decodable(file, text, encoding))
    if not len(documents):
        got = f"{skipped} binary files only" if skipped else "no file"
        remedy = "Pass a folder with a text file for each document."
        raise InputError(path, "hold text files", got, remedy)
    if skipped:
        documents.source += f" ({skipped} binary file{'s' * (skipped > 1)} skipped)"
    return documents


def read_lines(path: Path, encoding: str, track: Track, make: Make = Documents) -> Documents:
    """Read a file with a document a line; an empty line is an empty document."""
    documents = make(str(path))
    for number, line in track(lines(path, encoding), desc="reading", unit=" lines"):
        documents.add(f"line {number}", line.strip())
    return documents


def standard_library(track: Track) -> Documents:
    """Collect the docstrings of Python's standard library without importing any of it.

    Module, class and function docstrings of at least 15 words, duplicates left out, in the
    order of the sorted source files. About two seconds.
    """
    source = f"docstrings of Python {platform.python_version()}'s standard library"
    documents = Documents(source, titled=True)
    root = Path(sysconfig.get_path("stdlib"))
    relative = (path.relative_to(root) for path in root.rglob("*.py"))
    files = sorted(path for path in relative if not _NOT_LIBRARY.intersection(path.parts))
    seen = set()
    for file in track(files, desc="reading", unit=" files"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes in other people's strings
                tree = ast.parse((root / file).read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        for name, text in _docstrings(module, tree):
            if text not in seen and len(text.split()) >= _SHORTEST_DOCSTRING:
                seen.add(text)
                documents.add(name, text)
    if not documents.texts:
        got = "no docstring there"
        raise InputError(root, "hold the standard library's .py files", got, "Pass a PATH.")
    return documents


def read_matrix(path: Path, vocabulary: Path | None) -> tuple[sparse.csr_matrix, list[str]]:
    """Read a sparse matrix saved by `scipy.sparse.save_npz`, and the terms of its columns.

    Parameters
    ----------
    path : Path
        Any sparse format and any real dtype; the values are used as they are.
    vocabulary : Path or None
        A term per line in column order, or a ``.json`` list, or a ``.json`` object that maps
        each term to its column. None names the terms by their columns.

    Returns
    -------
    X : csr_matrix of shape (n, d)
        float32 or float64, canonical. Columns without an entry are left out.
    terms : list of d str

    Raises
    ------
    InputError
        The matrix cannot be read or is not real and finite, or the terms do not fit it.
    """
    X = _load_matrix(path)
    n, d = X.shape
    if 0 in X.shape:
        raise InputError(
            path, "have rows and columns", f"shape {X.shape}", "Save a matrix that is not empty."
        )
    if X.dtype.kind not in "fiub":
        raise InputError(path, "hold real numbers", f"dtype {X.dtype}", "Convert it to float32.")
    if n > max(1 << 20, 16 * X.nnz):  # a few bytes may claim more rows than memory holds
        got = f"{n} rows and {X.nnz} entries"
        raise InputError(path, "hold entries for its rows", got, "Leave out rows that are empty.")
    terms = None if vocabulary is None else read_vocabulary(vocabulary, path, d)
    X, columns = _canonical(path, X)
    bad = np.flatnonzero(~np.isfinite(X.data))
    if bad.size:
        row = np.searchsorted(X.indptr, bad[0], side="right") - 1
        raise InputError(
            path, "hold finite numbers", f"{X.data[bad[0]]} in row {row}", "Remove or replace it."
        )
    return X, [f"#{j}" if terms is None else terms[j] for j in columns]


def _load_matrix(path: Path) -> sparse.sparray:
    """Return what `scipy.sparse.save_npz` has saved, in the format that it was saved in."""
    saved = "be a sparse matrix saved by scipy.sparse.save_npz"
    remedy = "Save it with scipy.sparse.save_npz(path, X)."
    try:
        with opened(path) as file:  # by name, NumPy forgets to close a bad one
            X = sparse.load_npz(file)
            if X.ndim != 2:
                raise ValueError(f"{X.ndim} dimensions")
            return X
    except (InputError, MemoryError):
        raise
    except (zipfile.BadZipFile, EOFError):
        raise InputError(path, saved, "no readable zip archive", remedy) from None
    except Exception as error:  # zip, zlib, NumPy and SciPy each have their own for a broken file
        raise InputError(path, saved, one_line(error)[:200], remedy) from None


def _canonical(path: Path, matrix: sparse.sparray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return canonical float rows of the columns that hold an entry, and which columns these are.

    What was hashed, or is hostile, has many more columns than entries, and each center would hold a
    number for each column.
    """
    try:
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)  # conversions trust the indices
        if matrix.dtype not in (np.float32, np.float64):
            matrix = matrix.astype(np.float32 if np.can_cast(matrix.dtype, np.float32) else np.float64)
        X = sparse.csr_matrix(matrix)
        X.sum_duplicates()
        X.eliminate_zeros()
    except MemoryError:
        raise
    except Exception as error:
        must, remedy = "be a sparse matrix saved by scipy.sparse.save_npz", "Save it again."
        raise InputError(path, must, one_line(error)[:200], remedy) from None
    columns = np.unique(X.indices)
    if 0 < columns.size < X.shape[1]:
        parts = (X.data, np.searchsorted(columns, X.indices), X.indptr)
        X = sparse.csr_matrix(parts, shape=(X.shape[0], columns.size))
    return X, columns


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into messages."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(path, "exist", "no such file or folder", "Pass one that is there.") from None
    except OSError as error:
        got = error.strerror or one_line(error)
        raise InputError(path, "be readable", got, "Allow reading it, or copy it.") from None


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for reading; wait a while for who writes to a named pipe, but not for ever."""
    with readable(path), _open_pipe(path) if path.is_fifo() else path.open("rb") as file:
        yield file


def _open_pipe(path: Path, seconds: float = 5) -> io.BufferedReader:
    """Open a pipe as anyone does, which waits for a writer, in a thread that can be given up."""
    found: list[io.BufferedReader] = []
    errors: list[OSError] = []

    def wait() -> None:
        try:
            found.append(path.open("rb"))
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # a writer, so that the thread ends
        thread.join()
        for file in found:
            file.close()
        got = f"a pipe to which nobody has written for {seconds:g} s"
        raise InputError(path, "be readable", got, "Start what writes to it first.")
    if errors:
        raise errors[0]
    return found[0]


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _decodable(path: Path, text: str, encoding: str, line: int | None = None) -> str:
    """Return `text`, decoded with surrogateescape, or raise at its first undecodable byte."""
    bad = None if text.isascii() else _BAD_BYTE.search(text)
    if bad is None:
        return text
    if line is None:
        line = text.count("\n", 0, bad.start()) + 1
    raise _not_text(path, encoding, f"byte 0x{ord(bad.group()) - 0xDC00:02x} in line {line}")


def _not_text(path: Path, encoding: str, got: str) -> InputError:
    remedy = "Pass the file's encoding, for example --encoding latin-1."
    return InputError(path, f"be {encoding.upper()} text", got, remedy)


def _codec(encoding: str) -> str:
    return "utf-8-sig" if encoding == "utf-8" else encoding  # a byte order mark is no text


def lines(path: Path, encoding: str, newline: str | None = None) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line), and stop with a message at bytes that are no text."""
    with opened(path) as file:
        head = file.peek(8192)  # not a second open: a pipe can be read only once
        if b"\0" in head and not encoding.startswith(_WIDE):
            remedy = "Save it as text, with a document a line."
            if head.startswith((b"\xff\xfe", b"\xfe\xff")):
                remedy = "It looks like UTF-16: pass --encoding utf-16."
            raise InputError(path, "be a text file", "binary data", remedy)
        text = io.TextIOWrapper(file, _codec(encoding), "surrogateescape", newline)
        try:
            for number, line in enumerate(text, 1):
                yield number, _decodable(path, line, encoding, number)
        except UnicodeError as error:  # surrogateescape cannot help every encoding
            raise _not_text(path, encoding, one_line(error)) from None


def read_vocabulary(vocabulary: Path, path: Path, d: int) -> list[str]:
    """Read the terms of the d columns of `path`, as `read_matrix` takes them."""
    terms = _read_vocabulary(vocabulary)
    if len(terms) != d:
        raise InputError(
            vocabulary,
            f"hold a term for each of the {d} columns of {path}",
            f"{len(terms)} terms",
            "Write one term per line, in column order.",
        )
    return terms


def _read_vocabulary(path: Path) -> list[str]:
    if path.suffix.lower() != ".json":
        return [line.rstrip("\r\n") for _, line in lines(path, "utf-8")]
    try:
        return _terms(json.loads("".join(line for _, line in lines(path, "utf-8"))))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        remedy = "Write one term per line, in column order, to a .txt file."
        must = "be a JSON list of terms or object of columns"
        raise InputError(path, must, one_line(error)[:200], remedy) from None


def _terms(vocabulary: Any) -> list[str]:
    if isinstance(vocabulary, dict):
        if not all(type(column) is int for column in vocabulary.values()):
            wrong = next(item for item in vocabulary.items() if type(item[1]) is not int)
            raise ValueError(f"{wrong[0]!r} in column {wrong[1]!r}")
        by_column = {column: term for term, column in vocabulary.items()}
        missing = next((j for j in range(len(vocabulary)) if j not in by_column), None)
        if missing is not None:
            raise ValueError(f"no term for column {missing}")
        vocabulary = [by_column[j] for j in range(len(vocabulary))]
    if not isinstance(vocabulary, list):
        raise ValueError(f"a JSON {type(vocabulary).__name__}")
    for term in vocabulary:
        if not isinstance(term, str | int | float):
            raise ValueError(f"a term that is a {type(term).__name__}")
    return [str(term) for term in vocabulary]


def _docstrings(name: str, node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the docstrings at and below `node`, in source order."""
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if isinstance(node, (ast.Module, *definitions)):
        text = ast.get_docstring(node)
        if text:
            yield name, text
    for child in ast.iter_child_nodes(node):
        inner = f"{name}.{child.name}" if isinstance(child, definitions) else name
        if isinstance(child, (*definitions, ast.If, ast.Try)):
            yield from _docstrings(inner, child)
