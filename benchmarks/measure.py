"""Plans and records one case: how many iterations fit the budget, what was measured, what was not.

A fit of one iteration comes first. It warms the library up and predicts the rest:

- "whole": the asked-for iterations (10) fit the budget. Seconds per iteration are the median fit
  divided by its iterations, set-up and final pass included.
- "short": only 1, 2 or 3 do. Seconds per iteration are the fit divided by its assignment passes, so
  that a final pass, which some libraries make, does not count against them. Where a smaller case
  already predicts that one iteration exceeds the budget, there is one fit of one iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from data import Problem
from runner import Measured, NotMeasured, Worker, available_memory
from tasks import TASKS

SCORED_PASSES = (2, 3, 4, 10, 11)  # assignment passes in fits of 1 to 3 and of 10 iterations


@dataclass(frozen=True)
class Settings:
    """How long cases may take: seconds for a planned fit and for any fit, and rounds."""

    n_iter: int
    budget: float
    limit: float
    rounds: int
    peer_rounds: int


@dataclass(frozen=True)
class Case:
    """One problem. `work` grows in proportion to the cost of an iteration of Lloyd's algorithm."""

    task: str
    series: str  # "m", "rows" or "threads": the plot and table that it belongs to
    folder: Path
    problem: Problem
    corpus: str
    threads: int

    @property
    def shape(self) -> dict[str, int]:
        X = self.problem["X"]
        n, d = X.shape
        return {"n": n, "d": d, "nnz": X.nnz, "m": self.problem["init"].shape[0]}

    @property
    def work(self) -> float:
        return self.shape["nnz"] * self.shape["m"] / self.threads

    def describe(self) -> dict[str, Any]:
        """What identifies the case in the results."""
        about = {"task": self.task, "series": self.series, "corpus": self.corpus}
        return about | self.shape | {"threads": self.threads}


@dataclass
class Ledger:
    """What this session knows: seconds per iteration so far, and the cases without a time."""

    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    not_measured: list[dict[str, Any]] = field(default_factory=list)

    def predict(self, case: Case, library: str) -> float:
        """Seconds per iteration, in proportion to the largest smaller case; 0 without one."""
        known = [pair for pair in self.seconds.get(library, []) if pair[0] <= case.work]
        if not known:
            return 0.0
        work, seconds = max(known)
        return seconds * case.work / work


Timed = Callable[..., Measured]  # pytest-benchmark's pedantic


def measure(
    timed: Timed, info: dict[str, Any], case: Case, library: str, settings: Settings, ledger: Ledger
) -> None:
    """Time `library` on `case` through `timed` and fill `info`; raises NotMeasured."""
    peer = TASKS[case.task].peers[library]
    shape = case.shape
    predicted = ledger.predict(case, library)
    shortest = predicted * (peer.passes(1) if peer.typical_first else peer.passes(2))
    if shortest > settings.limit:
        raise NotMeasured(f"over {settings.limit:.0f} s (about {predicted:.0f} s an iteration expected)")
    needed, free = peer.least_memory(shape["n"], shape["d"], shape["m"]), available_memory()
    if 0 < free < needed:
        raise NotMeasured(f"needs over {needed / 2**30:.0f} GiB of memory")

    ours = library.startswith("latom")
    with Worker(case.task, library, case.folder, case.threads) as worker:
        fits: list[Measured] = []

        def fit(n_iter: int) -> Measured:
            fits.append(worker.fit(n_iter, settings.limit))
            return fits[-1]

        rounds = 1
        if peer.typical_first and predicted * peer.passes(1) > settings.budget:
            how, n_iter = "short", 1
        else:
            one = fit(1).seconds
            how, n_iter = _plan(one, predicted, peer.passes, settings)
            if ours:  # never cut short: its iterations differ most
                how, n_iter = "whole", settings.n_iter
            if how == "whole":
                rounds = settings.rounds if ours else settings.peer_rounds
        timed(fit, args=(n_iter,), rounds=rounds)
        timed_fits = fits[-rounds:]
        last = timed_fits[-1]
        outputs = {peer.passes(last.n_iter): last.output}
        if library == "latom":  # its score after as many passes as the others made
            for passes in SCORED_PASSES:
                outputs.setdefault(passes, fit(passes - peer.passes(0)).output)

    seconds = float(np.median([run.seconds for run in timed_fits]))
    per_iteration = seconds / (last.n_iter if how == "whole" else peer.passes(last.n_iter))
    score = TASKS[case.task].score
    ledger.seconds.setdefault(library, []).append((case.work, per_iteration))
    info |= case.describe()
    info |= {
        "library": library,
        "version": worker.version,
        "note": peer.note,
        "how": how,
        "n_iter": last.n_iter,
        "passes": peer.passes(last.n_iter),
        "fit_seconds": seconds,
        "seconds_per_iteration": per_iteration,
        "memory": last.memory,
        "score_name": TASKS[case.task].score_name,
        "score": {str(key): score(case.problem, output) for key, output in outputs.items()},
    }


def _plan(one: float, predicted: float, passes: Callable[[int], int], settings: Settings) -> tuple[str, int]:
    """Kind and iterations of the fit to time, from the seconds of a fit of one iteration."""
    a_pass = max(one / passes(1), predicted)  # the first iteration of some libraries is cheap
    if a_pass * passes(settings.n_iter) <= settings.budget:
        return "whole", settings.n_iter
    return "short", 3 if a_pass * passes(3) <= settings.budget else 2
