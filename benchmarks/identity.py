"""Are the bits the same? One clustering under every kernel variant, thread count and index width.

    LATOM_DATA=/folder/with/data python benchmarks/identity.py [--clusters 1000] [--plain]

Prints the objective of the last assignment to the last bit and a digest of labels, scores and centers for
each combination, and ends with an error if two differ. `--plain` adds the algorithm without any bound:
every row's float64 score with every center.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
import time

import numpy as np
import scipy.sparse as sp
from data import initial_rows, sparse_corpus

from latom._base.backend import backend, call
from latom._base.rows import Rows

_core = backend()


def run(X: sp.csr_array, m: int, n_iter: int, threads: int, **bounds: bool) -> tuple[str, str]:
    """The objective, exactly, and a digest of everything that a user sees."""
    rows = Rows("identity", X)
    core = _core.Lloyd(call("identity", threads or None), rows.core, None, "cosine", **bounds)
    core.set_centers(Rows("identity", initial_rows(X, m), "centers", like=rows).core, True)
    for _ in range(n_iter):
        core.assign()
        core.update()
    objective = core.assign()[1]
    digest = hashlib.sha256()
    for part in (core.labels(), core.scores(), *core.centers()):
        digest.update(np.ascontiguousarray(part).tobytes())
    return float(objective).hex(), digest.hexdigest()[:16]


def main() -> int:
    """Run all combinations; 1 if any two differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()

    X = sparse_corpus().X
    wide = sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)
    cases = [
        (isa, threads, rows, {})
        for isa, threads, rows in itertools.product(_core.available_isas(), [1, 2, 5], [X, wide])
    ]
    if arguments.plain:
        cases.append((_core.isa(), 0, X, {"screen": False, "drift": False}))
    results = set()
    for isa, threads, rows, bounds in cases:
        _core.set_isa(isa)
        start = time.perf_counter()
        result = run(rows, arguments.clusters, arguments.iterations, threads, **bounds)
        results.add(result)
        what = "plain float64" if bounds else f"{threads} threads, {rows.indices.dtype}"
        print(
            f"{isa:11s} {what:20s} objective {result[0]}  {result[1]}  {time.perf_counter() - start:.1f} s",
            flush=True,
        )
    print("identical" if len(results) == 1 else f"{len(results)} different results")
    return int(len(results) > 1)


if __name__ == "__main__":
    sys.exit(main())
