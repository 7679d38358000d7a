"""How fast this machine multiplies: the reference that top-k reports take their shares of.

    python benchmarks/peak.py [--threads 2]

The peak of a precision is the fastest of its probes, `peers.GEMM`, each in a process of its own and
at its fastest block: matrix products of numpy and torch, and latom's loop of multiply-adds on data that
stay in the first cache, which comes closest to what the arithmetic units can do.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import cache
from pathlib import Path

from data import normal_rows, save
from measure import calibrate
from peers import GEMM
from runner import NotMeasured, Worker, available_cpus
from tasks import TASKS

N, D, M = 2048, 1024, 4096  # products of 17 GFLOP: long enough that no start-up counts
BLOCKS = 5
BLOCK_SECONDS = 0.2
LIMIT = 120.0

Peaks = dict[str, tuple[float, str]]  # precision -> operations a second, probe


@cache
def peaks(threads: int) -> Peaks:
    """The peaks with so many threads, measured on the first call of a session."""
    task = TASKS["gemm"]
    best: Peaks = {}
    problem = {"X": normal_rows(N, D, 0), "atoms": normal_rows(M, D, 1)}
    assert task.operations is not None
    operations = task.operations(task.shape(problem))
    with tempfile.TemporaryDirectory(prefix="latom-bench-") as name:
        folder = Path(name)
        save(problem, folder)
        for library, peer in GEMM.items():
            try:
                with Worker("gemm", library, folder, threads, peer.environment) as worker:
                    count = calibrate(lambda n: worker.fit(n, LIMIT), BLOCK_SECONDS)
                    seconds = min(worker.fit(count, LIMIT).seconds for _ in range(BLOCKS)) / count
            except NotMeasured:  # not installed, or not for this CPU
                continue
            precision, rate = peer.precision, operations / seconds
            if rate > best.get(precision, (0.0, ""))[0]:
                best[precision] = (rate, library)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=available_cpus())
    for precision, (rate, probe) in peaks(parser.parse_args().threads).items():
        print(f"{precision}: {rate / 1e9:.0f} GF/s, {probe}")


if __name__ == "__main__":
    main()
