"""The command line: ``python -m latom cluster [PATH] -k 20``.

Documents in, a table of clusters out. This file runs commands and reports; `latom.cli.arguments` parses,
`latom.cli.reading` and `latom.cli.streaming` read, scikit-learn weighs the terms, `latom.SphericalKMeans`
clusters.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from latom.cli import documents as sources
from latom.cli import outputs, search, tables
from latom.cli.arguments import command_line
from latom.cli.documents import InputError, Track
from latom.cli.reading import read_corpus
from latom.cli.report import Clusters, Corpus, print_report
from latom.cli.streaming import is_matrix, stream_matrix, stream_texts


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
    parser = command_line()
    try:
        arguments = parser.parse(argv)
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
    texts_alone = ("stop_words", "min_df", "max_df", "max_features")
    for given in (name for name in texts_alone if numbers and getattr(arguments, name) is not None):
        option, remedy = f"--{given.replace('_', '-')}", "Values of a matrix are used as they are."
        raise InputError(option, "go with texts", arguments.path, remedy)
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
