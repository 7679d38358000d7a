"""k-means on a dask cluster beside one process with as many threads, and what docs/many-machines.md predicts.

    LATOM_DATA=/folder/with/data python benchmarks/many_machines.py [--clusters 1000] [--workers 1 2 4]

Each worker is a process of one thread that holds its rows before the clock starts. Both fits begin at the
same rows and must end with the same bits. The model: an iteration sends every worker the centers (8 bytes per
entry of CSR) and takes back labels, and what those that changed add to sums and take from them; bytes are
what the workers say they passed on.
Writes `results/<machine>/many_machines.md`.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import initial_rows, sparse_corpus

import latom


def one_process(X: Any, start: Any, n_iter: int, threads: int) -> tuple[float, Any]:
    """Seconds of a fit, and the fit."""
    model = latom.SphericalKMeans(len_of(start), init=start, max_iter=n_iter, tol=0, n_threads=threads)
    begin = time.perf_counter()
    model.fit(X)
    return time.perf_counter() - begin, model


def len_of(X: Any) -> int:
    """Rows."""
    return int(X.shape[0])


def on_workers(client: Any, chunks: Any, start: Any, n_iter: int) -> tuple[float, Any, float]:
    """Seconds of a fit on a cluster, the fit, and the bytes that workers sent."""
    import latom.dask

    before = sum(client.run(_sent).values())
    model = latom.dask.SphericalKMeans(
        len_of(start), init=start, max_iter=n_iter, tol=0, n_threads=1, client=client
    )
    begin = time.perf_counter()
    model.fit(chunks)
    seconds = time.perf_counter() - begin
    return seconds, model, sum(client.run(_sent).values()) - before


def _sent(dask_worker: Any) -> int:
    return int(getattr(dask_worker, "transfer_outgoing_bytes_total", 0))


def scattered(client: Any, X: Any, parts: int) -> Any:
    """X as a dask array whose chunks lie on the workers."""
    import dask
    import dask.array as da
    from distributed import wait

    edges = np.linspace(0, len_of(X), parts + 1).astype(int)
    workers = list(client.scheduler_info()["workers"])
    pieces = []
    for k, (a, b) in enumerate(itertools.pairwise(edges)):
        held = client.scatter(X[a:b], workers=[workers[k % len(workers)]], hash=False)
        wait(held)
        pieces.append(da.from_delayed(dask.delayed(held), (b - a, X.shape[1]), dtype=X.dtype, meta=X[:0]))
    return da.concatenate(pieces, axis=0)


def main() -> None:
    """Measure and write the table."""
    import distributed

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunks", type=int, default=1, help="of each worker")
    parser.add_argument("--output", type=Path, help="folder of the table")
    arguments = parser.parse_args()
    corpus = sparse_corpus()
    X = corpus.X
    start = initial_rows(X, arguments.clusters)
    lines = [
        f"# k-means on workers of one thread: {corpus.name}, {X.shape[0]} x {X.shape[1]}, "
        f"m = {arguments.clusters}",
        "",
        f"{arguments.iterations} iterations, medians of {arguments.rounds} fits.",
        "",
        "| workers | seconds | one process, as many threads | ratio | MB sent | model, but for sums |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for count in arguments.workers:
        with (
            distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            chunks = scattered(client, X, count * arguments.chunks)
            runs, alone = [], []
            for _ in range(arguments.rounds):
                runs.append(on_workers(client, chunks, start, arguments.iterations))
                alone.append(one_process(X, start, arguments.iterations, count))
        found, wanted = runs[0][1], alone[0][1]
        assert np.array_equal(found.labels_, wanted.labels_)
        centers = sp.csr_array(wanted.cluster_centers_)
        assert np.array_equal(sp.csr_array(found.cluster_centers_).data, centers.data)
        model = arguments.iterations * (8 * centers.nnz * count + 4 * len_of(X))
        seconds, one = (statistics.median(run[0] for run in some) for some in (runs, alone))
        lines.append(
            f"| {count} | {seconds:.2f} | {one:.2f} | {one / seconds:.2f} | {runs[0][2] / 1e6:.0f} | "
            f"{model / 1e6:.0f} |"
        )
        print(lines[-1], flush=True)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "many_machines.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
