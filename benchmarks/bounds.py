"""What each bound of the sparse core is worth: the same run with one of them switched off.

    LATOM_DATA=/folder/with/data python benchmarks/bounds.py [--clusters 20 100 1000 10000]

The bounds serve many atoms; few are scored all at once, unless that is switched off as in every row
but the first. Every row of the table gives the same labels, centers and objective (checked here);
only the work differs.
Seconds are the median of `--rounds` runs, an iteration, assignment and update together; the share is of the
plain algorithm's multiply-adds. Writes `results/<machine>/bounds.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import initial_rows, sparse_corpus

from latom._base.backend import backend, call
from latom._base.rows import Rows

_core = backend()

SWITCHES: dict[str, dict[str, Any]] = {
    "default": {"few": True},
    "few atoms as many": {},
    "without drift": {"drift": False},
    "drop = 1": {"drop": 1},
    "drop = 2": {"drop": 2},
    "drop = 4": {"drop": 4},
    "drop = 8": {"drop": 8},
    "drop = 8, without residual": {"drop": 8, "residual": False},
    "groups of eight": {"group": 8},
    "groups of one": {"group": 1},
    "without drift and screen: plain float64": {"drift": False, "screen": False},
}


def measure(X: sp.csr_array, m: int, n_iter: int, switches: dict[str, Any]) -> tuple[float, float, str]:
    """Seconds an iteration, share of the plain multiply-adds, and a digest of the result."""
    rows = Rows("bounds", X)
    run = _core.Lloyd(call("bounds"), rows.core, None, "cosine", **({"few": False} | switches))
    run.set_centers(Rows("bounds", initial_rows(X, m), "centers", like=rows).core, True)
    spent, start = 0.0, time.perf_counter()
    for _ in range(n_iter):
        spent += run.assign()[2]
        run.update()
    seconds = (time.perf_counter() - start) / n_iter
    run.assign()
    digest = hashlib.sha256()
    for part in (run.labels(), run.scores(), *run.centers()):
        digest.update(np.ascontiguousarray(part).tobytes())
    return seconds, spent / (n_iter * X.nnz * m), digest.hexdigest()[:12]


def main() -> None:
    """Measure every switch at every number of clusters and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clusters", type=int, nargs="+", default=[20, 100, 1000, 10_000])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain-budget", type=float, default=2.5e12, help="multiply-adds of a plain run")
    parser.add_argument("--output", type=Path, help="folder of the table")
    arguments = parser.parse_args()

    corpus = sparse_corpus()
    X = corpus.X
    lines = [
        f"# What each bound is worth: {corpus.name}, {X.shape[0]} x {X.shape[1]}, {X.nnz} entries",
        "",
        f"{arguments.iterations} iterations from random rows, {_core.resolve_threads(0)} threads, "
        f"{_core.isa()}, latom {_core.__version__}; median of {arguments.rounds} runs.",
        "",
        "| m | switches | s / iteration | share of plain products | result |",
        "| --- | --- | --- | --- | --- |",
    ]
    for m in arguments.clusters:
        for name, switches in SWITCHES.items():
            plain = not switches.get("screen", True)
            if plain and X.nnz * m * arguments.iterations > arguments.plain_budget:
                lines.append(f"| {m} | {name} | not run | 1 | |")
                continue
            rounds = 1 if plain else arguments.rounds
            runs = [measure(X, m, arguments.iterations, switches) for _ in range(rounds)]
            seconds = statistics.median(r[0] for r in runs)
            lines.append(f"| {m} | {name} | {seconds:.4f} | {runs[0][1]:.4f} | `{runs[0][2]}` |")
            print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "bounds.md").write_text(text)


if __name__ == "__main__":
    main()
