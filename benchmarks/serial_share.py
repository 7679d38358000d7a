"""How much of a call is serial, and what speed-up that leaves many cores.

    LATOM_DATA=/folder/with/data python benchmarks/serial_share.py [--threads 64] [--only k-means]

Each call runs on one thread, while the core times the chunks of its parallel loops. What is outside is
serial: checks, Python, and loops over rows that one thread makes. A loop of s seconds whose longest chunk
takes l ends on t threads within s / t + (1 - 1 / t) l, so chunks that are too few or too long count against
the speed-up as well. It is a prediction: that chunks take no longer beside others, which holds where memory
is fast enough, is not measured. Dense products of NMF are numpy's, whose BLAS has threads of its own: their
time counts as that of a loop that is cut into any number of chunks.
Writes `results/<machine>/serial_share.md`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from data import dense_corpus, sparse_corpus
from threadpoolctl import threadpool_limits

import latom
from latom._base.backend import backend
from latom.factorize.non_negative_rows import NonNegativeRows

_core = backend()
SIZE = 1.0  # of clusters, atoms and documents


def corpora() -> tuple[Any, Any]:
    """Sparse and dense rows."""
    return sparse_corpus().X, dense_corpus().X


def cases(S: Any, X: Any) -> dict[str, Callable[[], Any]]:
    """A call per family, on one thread each."""

    def count(m: int) -> int:
        return max(3, int(m * SIZE))

    fit = {"init": "random", "n_init": 1, "max_iter": 10, "tol": 0, "random_state": 0, "n_threads": 1}
    one = {"random_state": 0, "n_threads": 1}
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((count(4096), X.shape[1]), dtype=np.float32)
    labels = latom.KMeans(count(200), max_iter=5, random_state=0).fit(X).labels_
    documents = X[: len(X) // 188 * 188][: count(200) * 188]
    cut = np.arange(0, len(documents) + 1, 188)
    centers, positive = X[: count(1000)], np.abs(X)
    return {
        "k-means, sparse, m = 20": lambda: latom.SphericalKMeans(count(20), **fit).fit(S),
        "k-means, sparse, m = 1000": lambda: latom.SphericalKMeans(count(1000), **fit).fit(S),
        "k-means, dense, m = 512": lambda: latom.KMeans(count(512), **fit).fit(X),
        "mini-batch k-means, dense, m = 512": lambda: latom.MiniBatchKMeans(
            count(512), batch_size=4096, max_iter=2, max_no_improvement=None, **one
        ).fit(X),
        "predict, dense, m = 1000": lambda: latom.assign(X, centers, metric="euclidean", n_threads=1),
        "k-means++, sparse, m = 1000": lambda: latom.kmeans_plusplus(S, count(1000), **one),
        "k-means++, dense, m = 500": lambda: latom.kmeans_plusplus(X, count(500), **one),
        "k-means‖, dense, m = 500": lambda: latom.kmeans_parallel(X, count(500), **one),
        "top-k, 4096 atoms, k = 32": lambda: latom.topk(X, atoms, 32, n_threads=1),
        "encode, 4096 atoms, k = 32": lambda: latom.encode(X, atoms, 32, n_threads=1),
        "NMF, sparse, 32 factors": lambda: latom.NMF(count(32), max_iter=10, tol=0, **one).fit(S),
        "NMF, dense, 32 factors": lambda: latom.NMF(count(32), max_iter=10, tol=0, **one).fit(positive),
        "silhouette, 200 clusters": lambda: latom.silhouette(X, labels, n_threads=1),
        "k-means of documents of 188": lambda: latom.kmeans_batch(documents, 0.25, cut, **one),
        "Ward of documents of 188": lambda: latom.ward_batch(documents, 0.25, cut, n_threads=1),
    }


class Blas:
    """While it is entered, counts the seconds of numpy's products of a dense X."""

    seconds = 0.0

    def __enter__(self) -> Blas:
        self._methods = {name: getattr(NonNegativeRows, name) for name in ("times", "transposed_times")}
        for name, method in self._methods.items():
            setattr(NonNegativeRows, name, self._timed(method))
        return self

    def __exit__(self, *_: object) -> None:
        for name, method in self._methods.items():
            setattr(NonNegativeRows, name, method)

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(products: Any, *arguments: Any) -> Any:
            start = time.perf_counter()
            made = method(products, *arguments)
            if not products.sparse:
                self.seconds += time.perf_counter() - start
            return made

        return timed


def measure(call: Callable[[], Any], threads: int, rounds: int) -> tuple[float, float, float, int]:
    """Median seconds of a call, the part outside loops, the predicted seconds on many threads, and loops."""
    call()
    found = []
    for _ in range(rounds):
        with threadpool_limits(1), Blas() as blas:
            _core.watch_loops(threads)
            start = time.perf_counter()
            call()
            seconds = time.perf_counter() - start
            within, predicted, loops = _core.watched_loops()
            _core.watch_loops(0)
        serial = max(0.0, seconds - within - blas.seconds)
        found.append((seconds, serial, serial + predicted + blas.seconds / threads, loops))
    return tuple(statistics.median(run[k] for run in found) for k in range(4))  # type: ignore[return-value]


def main() -> None:
    """Measure every case and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--output", type=Path, help="folder of the table")
    arguments = parser.parse_args()
    lines = [
        f"# What is serial, and the speed-up at {arguments.threads} threads that it leaves",
        "",
        f"One thread, {_core.isa()}; medians of {arguments.rounds} runs. The speed-up is predicted from "
        "the times of chunks, not measured.",
        "",
        "| call | seconds | loops | outside loops | speed-up |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, call in cases(*corpora()).items():
        if not name.startswith(arguments.only):
            continue
        seconds, serial, predicted, loops = measure(call, arguments.threads, arguments.rounds)
        share = f"{serial / seconds:.2%}"
        lines.append(f"| {name} | {seconds:.4g} | {int(loops)} | {share} | {seconds / predicted:.1f} |")
        print(lines[-1], flush=True)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "serial_share.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
