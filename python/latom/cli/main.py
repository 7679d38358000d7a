"""The command line: ``python -m latom cluster [PATH] -k 20``.

Documents in, a table of clusters out. This file parses, reports and prints; `latom.cli.reading`
and `latom.cli.streaming` read, scikit-learn weighs the terms, `latom.SphericalKMeans` clusters.
"""

from __future__ import annotations

import argparse
import codecs
import io
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from scipy import sparse

from latom.cli import documents as sources
from latom.cli import outputs, search, tables
from latom.cli.documents import InputError, Track
from latom.cli.reading import read_corpus
from latom.cli.report import Clusters, Corpus, print_report
from latom.cli.streaming import is_matrix, stream_matrix, stream_texts

_HELP = "See python -m latom cluster --help."

_DESCRIPTION = """\
Cluster documents by topic and print a table: for each cluster its size, the mean cosine of its
documents with its center, its top terms and the document nearest to the center.
"""

_PATHS = """\
PATH may be
  a folder                  every text file in it is a document
  a .jsonl, .csv or .tsv    one column holds the documents (see --column)
  a .npz                    a matrix saved by scipy.sparse.save_npz, values used as they are
  a .npy, .parquet, .arrow  rows of numbers, or a folder of such files and .npz: read block by block
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
        command = self.prog.rpartition(" ")[2]
        outputs.speak_as("cluster" if command == "latom" else command)
        outputs.tell(message)
        self.exit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help, also where nobody reads it: argparse of Python 3.10 expects that files are open."""
        with suppress(OSError, ValueError):
            if message and (file or sys.stderr):
                (file or sys.stderr).write(message)


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
    _add_inputs(cluster)
    add = cluster.add_argument
    add("-k", "--n-clusters", type=_positive, default=20, metavar="K", help="clusters (20)")
    add("--seed", type=_seed, default=0, metavar="N", help="of the starting centers (0)")
    add("--n-init", type=_positive, default=1, metavar="N", help="starts, the best is kept (1)")
    add("--max-iter", type=_positive, default=100, metavar="N", help="iterations at most (100)")
    add("--top-terms", type=_positive, default=8, metavar="N", help="terms shown a cluster (8)")
    add("--labels", type=_path, metavar="OUT", help="write labels: .txt, .csv or .npy")
    add("--plot", type=_path, metavar="OUT", help="write a picture: .png, .svg or .pdf")
    add("--stream", action="store_true", help="read texts anew where needed, keep none in memory")
    add("-q", "--quiet", action="store_true", help="print warnings and errors only")
    add("--version", action="version", version=f"latom {__version__}")
    search.add_commands(commands, _add_inputs, _positive, _PATHS)
    check = commands.add_parser(
        "cuda-check",
        help="hold a GPU's answers to the CPU's, and time them",
        description="Hold a GPU's answers to the CPU's, and time them. Needs a build with CUDA.",
        allow_abbrev=False,
    )
    check.add_argument("--quick", action="store_true", help="a few small cases only, and no times")
    check.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return main


def _add_inputs(command: argparse.ArgumentParser, needed: bool = False) -> None:
    """What every command that reads documents takes."""
    add = command.add_argument
    add("path", nargs=None if needed else "?", type=_path, metavar="PATH", help="documents; see below")
    add("--column", metavar="NAME", help="the column with the texts (guessed)")
    add("--vocabulary", type=_path, metavar="FILE", help="terms of an .npz, one per line")
    add("--encoding", default="utf-8", type=_encoding, metavar="NAME", help="of the files (utf-8)")
    add("--min-df", type=_positive, metavar="N", help="drop terms in fewer documents")
    add("--max-features", type=_positive, metavar="N", help="keep the N most frequent terms")
    add("--threads", type=_threads, metavar="N", help="threads (all)")


def _integer(text: str, least: int, most: int = 2**31 - 1) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        bounds = f"of at least {least}" if value < least else f"of at most {most}"
        raise argparse.ArgumentTypeError(f"must be an integer {bounds}; got {text[:80]!r}. {_HELP}")
    return value


def _positive(text: str) -> int:
    return _integer(text, 1)


def _threads(text: str) -> int:
    return _integer(text, 1, 4096)


def _seed(text: str) -> int:
    return _integer(text, 0, 2**32 - 1)


def _encoding(text: str) -> str:
    try:
        "".encode(text)  # refuses codecs that are not of text, which lookup() takes
        return codecs.lookup(text).name
    except (LookupError, ValueError):
        message = f"must be a text encoding of Python; got {text[:80]!r}. {_HELP}"
        raise argparse.ArgumentTypeError(message) from None


def _path(text: str) -> Path:
    """Make a path of what the system takes for one: no NUL, no name too long, no folder that is closed."""
    got = text if len(text) <= 80 else f"...{text[-77:]}"
    try:
        if not text:
            raise ValueError("an empty name")
        path = Path(text)
        os.stat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        message = f"must be the name of a file or folder; got {got!r}, {why}. {_HELP}"
        raise argparse.ArgumentTypeError(message) from None
    return path


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
        parser.print_help(sys.stderr or io.StringIO())
        return 2
    outputs.speak_as(arguments.command)
    if arguments.command == "cuda-check":
        from latom.cli.cuda_check import run_check

        return run_check(arguments.json, arguments.quick)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # one line each, without the source line
            (_cluster if arguments.command == "cluster" else _search)(arguments)
    except InputError as error:
        outputs.tell(str(error))
        return 2
    except MemoryError as error:
        got, remedy = sources.one_line(error), "Pass a part of it, or fewer --max-features."
        outputs.tell(str(InputError(arguments.path or "PATH", "fit in memory", got, remedy)))
        return 2
    except KeyboardInterrupt:
        outputs.tell("interrupted")
        return 130
    return 0


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    outputs.tell(f"warning: {message}")


def _cluster(arguments: argparse.Namespace) -> None:
    _check_options(arguments)
    show_progress = not arguments.quiet and outputs.stderr_is_terminal()
    track = _tracker(show_progress)
    if not (arguments.stream or is_matrix(arguments.path)):
        _report(*read_corpus(arguments, track), arguments, show_progress)
        return
    if is_matrix(arguments.path):
        _report(*stream_matrix(arguments), arguments, show_progress)
        return
    with tempfile.TemporaryDirectory(prefix="latom-") as folder:
        _report(*stream_texts(arguments, track, Path(folder)), arguments, show_progress)


def _report(corpus: Corpus, times: list[str], arguments: argparse.Namespace, show_progress: bool) -> None:
    n, k = corpus.size[0], arguments.n_clusters
    if k > n:
        raise InputError(
            "-k", f"be at most the number of documents with terms, {n}", k, f"Pass -k {n} or less."
        )
    clusters, time_of_fit = _fit(corpus, arguments, show_progress)

    # Files before the table: a reader that leaves early (`| head`) must not cost the files.
    if arguments.labels:
        outputs.write_labels(arguments.labels, corpus, clusters)
    if arguments.plot:
        outputs.write_plot(arguments.plot, corpus, clusters)
    if not arguments.quiet and sys.stdout is not None:
        with outputs.writable_stdout():
            print_report(corpus, clusters, "; ".join((*times, *time_of_fit)))


def _search(arguments: argparse.Namespace) -> None:
    _check_inputs(arguments)
    corpus, _ = read_corpus(arguments, _tracker(outputs.stderr_is_terminal()))
    with outputs.writable_stdout():
        search.run(corpus, arguments)


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together, and what cannot be written, before the work."""
    outputs.check_outputs(arguments.labels, arguments.plot)
    _check_inputs(arguments)
    if arguments.stream:
        _check_stream(arguments.path)


def _check_inputs(arguments: argparse.Namespace) -> None:
    one_matrix = arguments.path is not None and arguments.path.suffix.lower() == ".npz"
    numbers = one_matrix or (arguments.command == "cluster" and is_matrix(arguments.path))
    is_table = arguments.path is not None and arguments.path.suffix.lower() in tables.SUFFIXES
    if arguments.vocabulary and not numbers:
        remedy = "Texts bring their own terms."
        raise InputError("--vocabulary", "go with a .npz PATH", arguments.path, remedy)
    if arguments.column is not None and not is_table:
        listed = ", ".join(tables.SUFFIXES)
        got, remedy = arguments.path, "Leave --column out."
        raise InputError("--column", f"go with a PATH in {listed}", got, remedy)


def _check_stream(path: Path | None) -> None:
    """Refuse to stream what is read only once, or as one matrix."""
    if path is None or path.is_fifo() or (path.suffix.lower() == ".npz" and not path.is_dir()):
        got = "the standard library" if path is None else path
        remedy = "Leave --stream out, or save the rows in a folder of several .npz."
        raise InputError("--stream", "go with texts in files, or a folder", got, remedy)


def _tracker(show: bool) -> Track:
    if not show:
        return lambda items, **_: items
    from tqdm import tqdm

    return lambda items, **options: tqdm(items, leave=False, **options)


def _fit(corpus: Corpus, arguments: argparse.Namespace, show_progress: bool) -> tuple[Clusters, list[str]]:
    """Return the clusters and, for the summary, what it took."""
    import latom

    with _progress_of_fit(corpus.size[0], arguments.max_iter, show_progress) as callback:
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
    cosines = _cosines(corpus.X, model.cluster_centers_, arguments.threads)
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


def _cosines(X: Any, centers: Any, n_threads: int | None) -> np.ndarray:
    """Return those of all rows with their centers."""
    from latom._base.rows import Rows
    from latom.cluster.packed_centers import PackedCenters

    packed = PackedCenters(centers, "cosine")
    blocks = [X] if sparse.issparse(X) else X
    return np.concatenate(
        [packed.assign("cluster", Rows("cluster", block), n_threads)[1] for block in blocks]
    )


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
