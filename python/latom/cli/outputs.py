"""What the command line writes besides tables: labels, pictures, messages."""

from __future__ import annotations

import csv
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from latom.cli.documents import InputError, one_line
from latom.cli.report import Clusters, Corpus, printable

LABEL_SUFFIXES = (".txt", ".csv", ".npy")


_speaker = ["cluster"]  # the command that messages name


def speak_as(command: str) -> None:
    """Have messages name a command; "" where there is none yet."""
    _speaker[0] = command


def tell(message: str) -> None:
    """Print a line on stderr; where that is closed or full, nobody listens."""
    if sys.stderr is not None:  # as which print takes stdout
        with suppress(OSError, ValueError):
            speaker = f"latom {_speaker[0]}".strip()
            print(f"{speaker}: {printable(message)}", file=sys.stderr, flush=True)


def stderr_is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


@contextmanager
def writable_stdout() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # Python flushes once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `| head` has what it wanted
            raise _unwritable("standard output", error) from None


def check_outputs(labels: Path | None, plot: Path | None) -> None:
    """Refuse what cannot be written before the work, not after it."""
    if labels and labels.suffix.lower() not in LABEL_SUFFIXES:
        listed = ", ".join(LABEL_SUFFIXES)
        raise InputError("--labels", f"end in one of {listed}", labels, "Rename it.")
    if plot:
        _check_drawing(plot)
    for option, path in (("--labels", labels), ("--plot", plot)):
        if path and not path.parent.is_dir():
            remedy = "Create it or choose another."
            raise InputError(option, "lie in an existing folder", path.parent, remedy)
        if path and path.is_dir():
            raise InputError(option, "be a file", f"the folder {path}", "Add a name.")
        if path and not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InputError(option, "be writable", f"{path}, which is not", "Choose another place.")


def _check_drawing(path: Path) -> None:
    """Draw a letter: formats may call programs that are missing, and settings of the user may be wrong."""
    try:
        with _drawing():
            from matplotlib.figure import Figure

            figure = Figure(figsize=(0.5, 0.5))
            suffix = path.suffix.lower().removeprefix(".")
            if suffix not in figure.canvas.get_supported_filetypes():
                raise InputError("--plot", "end in a picture's suffix", path, "Use .png, .svg or .pdf.")
            figure.text(0, 0, "a")
            figure.savefig(io.BytesIO(), format=suffix)
    except ImportError:
        remedy = "Run pip install 'latom[plot]'."
        raise InputError("--plot", "find matplotlib", "no such module", remedy) from None


@contextmanager
def _drawing() -> Iterator[None]:
    """Turn what goes wrong inside matplotlib into messages."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a line for each letter that the font lacks
            yield
    except (InputError, ImportError, MemoryError):
        raise
    except OSError as error:
        raise _unwritable("--plot", error) from None
    except Exception as error:
        remedy = "Use .png, and matplotlib's own settings."
        raise InputError("--plot", "be drawn by matplotlib", one_line(error)[:200], remedy) from None


def write_labels(path: Path, corpus: Corpus, clusters: Clusters) -> None:
    """Write the label of every document, -1 where it took no part."""
    n = len(corpus.documents)
    labels = np.full(n, -1, dtype=np.int32)
    labels[corpus.rows] = clusters.labels
    cosines = np.full(n, np.nan)
    cosines[corpus.rows] = clusters.cosines
    try:
        if path.suffix.lower() == ".npy":
            np.save(path, labels)
        elif path.suffix.lower() == ".txt":
            path.write_text("".join(f"{label}\n" for label in labels), encoding="ascii")
        else:
            # A name may hold half a surrogate pair, out of JSON or a file system.
            with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("document", "label", "cosine"))
                rows = zip(labels, cosines, strict=True)

                def write(name: str) -> None:
                    label, cosine = next(rows)
                    writer.writerow((name, label, "" if label < 0 else f"{cosine:.6f}"))

                corpus.documents.each(write)
    except OSError as error:
        raise _unwritable("--labels", error) from None


def write_plot(path: Path, corpus: Corpus, clusters: Clusters) -> None:
    """Draw the clustering."""
    from latom.cli.plotting import plot_clusters

    with _drawing():
        plot_clusters(
            clusters.labels,
            clusters.cosines,
            terms=clusters.terms,
            history=clusters.history,
            title=printable(corpus.documents.source),
        ).savefig(path, dpi=150)


def _unwritable(what: str, error: OSError) -> InputError:
    return InputError(what, "be writable", error.strerror or error, "Choose another place.")
