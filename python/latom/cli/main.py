"""The command line: ``python -m latom cluster [PATH] -k 20``.

Documents in, a table of clusters out. This file parses, reports and prints; `latom.cli.documents`
and `latom.cli.tables` read, scikit-learn weighs the terms, `latom.SphericalKMeans` clusters.
"""

from __future__ import annotations

import argparse
import codecs
import csv
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from scipy import sparse

from latom.cli import documents as sources
from latom.cli import tables
from latom.cli.documents import Documents, InputError, Track
from latom.cli.report import Clusters, Corpus, print_report, printable

_HELP = "See python -m latom cluster --help."
LABEL_SUFFIXES = (".txt", ".csv", ".npy")

_DESCRIPTION = """\
Cluster documents by topic and print a table: for each cluster its size, the mean cosine of its
documents with its center, its top terms and the document nearest to the center.
"""

_PATHS = """\
PATH may be
  a folder                  every text file in it is a document
  a .jsonl, .csv or .tsv    one column holds the documents (see --column)
  a .npz                    a matrix saved by scipy.sparse.save_npz, values used as they are
  any other file            a document a line
  left out                  the docstrings of Python's standard library

Documents in which no term is left get the label -1 and take no part.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line, without the usage, in the form of every other message."""
        message = message.removeprefix("argument ").replace(": ", " ", 1)
        if _HELP not in message:
            message += f". {_HELP}"
        self.exit(2, f"latom cluster: {message}\n")


def _parser() -> argparse.ArgumentParser:
    from latom import __version__

    main = _Parser(prog="python -m latom", description="Exact, very fast spherical k-means.")
    main.add_argument("--version", action="version", version=f"latom {__version__}")
    commands = main.add_subparsers(dest="command", metavar="COMMAND")
    cluster = commands.add_parser(
        "cluster",
        help="cluster documents and print a table of topics",
        description=_DESCRIPTION,
        epilog=_PATHS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = cluster.add_argument
    add("path", nargs="?", type=Path, metavar="PATH", help="what to cluster; see below")
    add("-k", "--n-clusters", type=_positive, default=20, metavar="K", help="clusters (20)")
    add("--column", metavar="NAME", help="the column with the texts (guessed)")
    add("--vocabulary", type=Path, metavar="FILE", help="terms of an .npz, one per line")
    add("--encoding", default="utf-8", type=_encoding, metavar="NAME", help="of the files (utf-8)")
    add("--min-df", type=_positive, metavar="N", help="drop terms in fewer documents")
    add("--max-features", type=_positive, metavar="N", help="keep the N most frequent terms")
    add("--seed", type=_seed, default=0, metavar="N", help="of the starting centers (0)")
    add("--n-init", type=_positive, default=1, metavar="N", help="starts, the best is kept (1)")
    add("--max-iter", type=_positive, default=100, metavar="N", help="iterations at most (100)")
    add("--threads", type=_positive, metavar="N", help="threads (all)")
    add("--top-terms", type=_positive, default=8, metavar="N", help="terms shown a cluster (8)")
    add("--labels", type=Path, metavar="OUT", help="write labels: .txt, .csv or .npy")
    add("--plot", type=Path, metavar="OUT", help="write a picture: .png, .svg or .pdf")
    add("-q", "--quiet", action="store_true", help="print warnings and errors only")
    add("--version", action="version", version=f"latom {__version__}")
    return main


def _integer(text: str, least: int, most: int = 2**31 - 1) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        bounds = f"of at least {least}" if value < least else f"of at most {most}"
        raise argparse.ArgumentTypeError(f"must be an integer {bounds}; got {text!r}. {_HELP}")
    return value


def _positive(text: str) -> int:
    return _integer(text, 1)


def _seed(text: str) -> int:
    return _integer(text, 0, 2**32 - 1)


def _encoding(text: str) -> str:
    try:
        "".encode(text)  # refuses codecs that are not of text, which lookup() takes
        return codecs.lookup(text).name
    except LookupError:
        message = f"must be a text encoding of Python; got {text!r}. {_HELP}"
        raise argparse.ArgumentTypeError(message) from None


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0; 2 when an argument or a file cannot be used; 130 after Ctrl-C.
    """
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:  # argparse: --help, --version, wrong arguments
        return stop.code if isinstance(stop.code, int) else 2
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # one line each, without the source line
            _cluster(arguments)
    except InputError as error:
        print(f"latom cluster: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("latom cluster: interrupted", file=sys.stderr)
        return 130
    return 0


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"latom cluster: warning: {printable(str(message))}", file=sys.stderr)


def _cluster(arguments: argparse.Namespace) -> None:
    _check_outputs(arguments)
    show_progress = not arguments.quiet and sys.stderr.isatty()
    track = _tracker(show_progress)

    corpus, times = _read(arguments, track)
    n, k = corpus.X.shape[0], arguments.n_clusters
    if k > n:
        raise InputError(
            "-k", f"be at most the number of documents with terms, {n}", k, f"Pass -k {n} or less."
        )
    clusters, time_of_fit = _fit(corpus, arguments, show_progress)

    # Files before the table: a reader that leaves early (`| head`) must not cost the files.
    if arguments.labels:
        _write_labels(arguments.labels, corpus, clusters)
    if arguments.plot:
        _write_plot(arguments.plot, corpus, clusters)
    if not arguments.quiet and sys.stdout is not None:
        with _writable_stdout():
            print_report(corpus, clusters, "; ".join((*times, *time_of_fit)))


@contextmanager
def _writable_stdout() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # Python flushes once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `| head` has what it wanted
            raise _unwritable("standard output", error) from None


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be written before the work, not after it."""
    if arguments.labels and arguments.labels.suffix.lower() not in LABEL_SUFFIXES:
        listed = ", ".join(LABEL_SUFFIXES)
        raise InputError("--labels", f"end in one of {listed}", arguments.labels, "Rename it.")
    if arguments.plot:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            remedy = "Run pip install 'latom[plot]'."
            raise InputError("--plot", "find matplotlib", "no such module", remedy) from None
        formats = Figure().canvas.get_supported_filetypes()
        if arguments.plot.suffix.lower().removeprefix(".") not in formats:
            remedy = "Use .png, .svg or .pdf."
            raise InputError("--plot", "end in a picture's suffix", arguments.plot, remedy)
    for option in ("labels", "plot"):
        path = getattr(arguments, option)
        if path and not path.parent.is_dir():
            got, remedy = f"{path.parent}", "Create it or choose another."
            raise InputError(f"--{option}", "lie in an existing folder", got, remedy)
    is_matrix = arguments.path is not None and arguments.path.suffix.lower() == ".npz"
    is_table = arguments.path is not None and arguments.path.suffix.lower() in tables.SUFFIXES
    if arguments.vocabulary and not is_matrix:
        remedy = "Texts bring their own terms."
        raise InputError("--vocabulary", "go with a .npz PATH", arguments.path, remedy)
    if arguments.column is not None and not is_table:
        listed = ", ".join(tables.SUFFIXES)
        got, remedy = arguments.path, "Leave --column out."
        raise InputError("--column", f"go with a PATH in {listed}", got, remedy)


def _tracker(show: bool) -> Track:
    if not show:
        return lambda items, **_: items
    from tqdm import tqdm

    return lambda items, **options: tqdm(items, leave=False, **options)


def _read(arguments: argparse.Namespace, track: Track) -> tuple[Corpus, list[str]]:
    """Return the corpus and, for the summary, how long it took."""
    path, encoding = arguments.path, arguments.encoding
    start = time.perf_counter()
    if path is not None and path.suffix.lower() == ".npz" and not path.is_dir():
        X, terms = sources.read_matrix(path, arguments.vocabulary)
        names = [f"row {i}" for i in range(X.shape[0])]
        documents = Documents(str(path), texts=[""] * len(names), names=names, titled=True)
        times = [f"read {time.perf_counter() - start:.2f} s"]
    else:
        if path is None:
            documents = sources.standard_library(track)
        elif path.is_dir():
            documents = sources.read_folder(path, encoding, track)
        elif path.suffix.lower() in tables.SUFFIXES:
            documents = tables.read_table(path, arguments.column, encoding, track)
        else:
            documents = sources.read_lines(path, encoding, track)
        documents.require_text(path)
        times = [f"read {time.perf_counter() - start:.2f} s"]
        X, terms, seconds = _weigh(documents, arguments, track)
        times.append(f"vectorized {seconds:.2f} s")
    rows = np.flatnonzero(np.diff(X.indptr))
    if not rows.size:
        raise InputError(
            path, "hold a row that is not empty", "zeros only", "Save the counts or weights of its terms."
        )
    return Corpus(documents, X if rows.size == X.shape[0] else X[rows], rows, terms), times


def _weigh(
    documents: Documents, arguments: argparse.Namespace, track: Track
) -> tuple[sparse.csr_matrix, Any, float]:
    """Return TF-IDF rows, the terms and the seconds, those of importing scikit-learn apart."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    start = time.perf_counter()
    n = len(documents.texts)
    vectorizer = TfidfVectorizer(
        dtype=np.float32,
        sublinear_tf=True,
        stop_words="english",
        token_pattern=r"(?u)\b[^\W\d_]\w+\b",  # words, not numbers
        # Thresholds grow with the corpus, so that a small one keeps its words.
        min_df=arguments.min_df or (1 if n < 100 else 2 if n < 10_000 else 5),
        max_df=1.0 if n < 100 else 0.5,
        max_features=arguments.max_features,
    )
    try:
        X = vectorizer.fit_transform(track(documents.texts, desc="vectorizing", unit=" documents"))
    except ValueError:  # nothing but stop words, or all of it too rare or too common
        remedy = "Lower --min-df, or pass longer or more varied documents."
        got = f"{n} document{'s' * (n != 1)} without"
        must = "hold terms other than stop words, rare ones and those of most documents"
        raise InputError(arguments.path, must, got, remedy) from None
    return X, vectorizer.get_feature_names_out(), time.perf_counter() - start


def _fit(corpus: Corpus, arguments: argparse.Namespace, show_progress: bool) -> tuple[Clusters, list[str]]:
    """Return the clusters and, for the summary, what it took."""
    import latom

    with _progress_of_fit(corpus.X.shape[0], arguments.max_iter, show_progress) as callback:
        model = latom.SphericalKMeans(
            arguments.n_clusters,
            n_init=arguments.n_init,
            max_iter=arguments.max_iter,
            random_state=arguments.seed,
            n_threads=arguments.threads,
            callback=callback,
        )
        start = time.perf_counter()
        try:
            model.fit(corpus.X)
        except ValueError as error:  # numbers too large to square, say
            must, got = "hold rows that can be clustered", str(error).rstrip(".")
            raise InputError(arguments.path, must, got, "") from None  # its own remedy ends it
        seconds = time.perf_counter() - start
    _, cosines = latom.assign(corpus.X, model.cluster_centers_, n_threads=arguments.threads)
    terms = _top_terms(model.cluster_centers_, corpus.terms, arguments.top_terms)
    clusters = Clusters.of(model.labels_, cosines, terms, model.history_)

    config = latom.config()
    threads = arguments.threads or config["n_threads"]
    iterations = model.n_iter_
    return clusters, [
        f"clustered {seconds:.2f} s ({iterations} iteration{'s' * (iterations != 1)})",
        f"mean cosine {cosines.mean():.3f}",
        f"{config['isa']}, {threads} thread{'s' * (threads != 1)}",
    ]


@contextmanager
def _progress_of_fit(n: int, max_iter: int, show: bool) -> Iterator[Callable[[Any], None] | None]:
    """Give a callback that moves a progress bar, or None, which costs the fit nothing."""
    if not show:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=max_iter, desc="clustering", unit=" iterations", leave=False) as bar:

        def callback(state: Any) -> None:
            bar.n = state.iteration
            bar.set_postfix_str(f"mean cosine {1 - state.objective / n:.4f}")

        yield callback


def _top_terms(centers: Any, terms: Any, count: int) -> list[list[str]]:
    """Return the terms of the largest weights of each center, heaviest first."""
    centers = sparse.csr_matrix(centers)
    top = []
    for start, end in zip(centers.indptr, centers.indptr[1:], strict=False):
        weights, columns = centers.data[start:end], centers.indices[start:end]
        heaviest = np.lexsort((columns, -weights))[:count]
        top.append([str(terms[columns[j]]) for j in heaviest if weights[j] > 0])
    return top


def _write_labels(path: Path, corpus: Corpus, clusters: Clusters) -> None:
    n = len(corpus.documents.names)
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
                for name, label, cosine in zip(corpus.documents.names, labels, cosines, strict=True):
                    writer.writerow((name, label, "" if label < 0 else f"{cosine:.6f}"))
    except OSError as error:
        raise _unwritable("--labels", error) from None


def _write_plot(path: Path, corpus: Corpus, clusters: Clusters) -> None:
    from latom.cli.plotting import plot_clusters

    figure = plot_clusters(
        clusters.labels,
        clusters.cosines,
        terms=clusters.terms,
        history=clusters.history,
        title=printable(corpus.documents.source),
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a line for each letter that the font lacks
            figure.savefig(path, dpi=150)
    except OSError as error:
        raise _unwritable("--plot", error) from None


def _unwritable(what: str, error: OSError) -> InputError:
    return InputError(what, "be writable", error.strerror or error, "Choose another place.")
