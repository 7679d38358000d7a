"""Plans and records one case: how many iterations fit the budget, what was measured, what was not.

A fit of one iteration comes first. It warms the library up and predicts the rest:

- "whole": the asked-for iterations (10) fit the budget. Seconds per iteration are the median fit
  divided by its iterations, set-up and final pass included.
- "short": only 1, 2 or 3 do. Seconds per iteration are the fit divided by its assignment passes, so
  that a final pass, which some libraries make, does not count against them. Where a smaller case
  already predicts that one iteration exceeds the budget, there is one fit of one iteration.

Where an answer takes one call and no iterations (`Task.calls`), the kind is "calls": after a call
that warms up, as many calls as take `--block` seconds are timed at once, several times, alike for
latom and its peers, and the median block divided by its calls is the time of one. A peer whose call takes
longer than the budget is timed once more (`--peer-rounds`).

Where a loss is to be reached (`Task.reference`), the kind is "losses": after a fit of one iteration that
warms up, fits of more and more iterations are timed, each from the start, and each answer is scored.

Where a fit is the whole of what a user types (`Task.seeds`), the kind is "seeds": after one that warms up,
fits from seed 0, 1, ... are timed and scored while the budget lasts, alike for latom and its peers; medians
are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from data import Problem
from runner import Measured, NotMeasured, Worker, available_memory
from tasks import TASKS

LENGTHS = (10, 50, 200)  # iterations of the fits of a peer that is to reach a loss
SCORED_PASSES = (2, 3, 4, 10, 11)  # assignment passes in fits of 1 to 3 and of 10 iterations


@dataclass(frozen=True)
class Settings:
    """How long cases may take: seconds for a planned fit and for any fit, rounds, blocks and seeds."""

    n_iter: int
    budget: float
    limit: float
    rounds: int
    peer_rounds: int
    blocks: int
    block: float
    seeds: int


@dataclass(frozen=True)
class Case:
    """One problem. `work` grows in proportion to the cost of an iteration."""

    task: str
    series: str  # such as "m", "rows" or "threads": the plot and table that it belongs to
    folder: Path
    problem: Problem
    corpus: str
    threads: int

    @property
    def shape(self) -> dict[str, Any]:
        return TASKS[self.task].shape(self.problem)

    @property
    def work(self) -> float:
        return TASKS[self.task].work(self.shape) / self.threads

    def describe(self) -> dict[str, Any]:
        """What identifies the case in the results."""
        about = {"task": self.task, "series": self.series, "corpus": self.corpus}
        return about | self.shape | {"threads": self.threads}


@dataclass
class Ledger:
    """What this session knows: seconds per iteration so far, and the cases without a time."""

    seconds: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)
    not_measured: list[dict[str, Any]] = field(default_factory=list)

    def predict(self, case: Case, library: str) -> float:
        """Seconds per iteration, in proportion to the largest smaller case; 0 without one."""
        known = [pair for pair in self.seconds.get((case.task, library), []) if pair[0] <= case.work]
        if not known:
            return 0.0
        work, seconds = max(known)
        return seconds * case.work / work


Timed = Callable[..., Measured]  # pytest-benchmark's pedantic


def measure(
    timed: Timed, info: dict[str, Any], case: Case, library: str, settings: Settings, ledger: Ledger
) -> None:
    """Time `library` on `case` through `timed` and fill `info`; raises NotMeasured."""
    task = TASKS[case.task]
    peer, shape = task.peers[library], case.shape
    needed, free = peer.least_memory(shape["n"], shape["d"], shape["m"]), available_memory()
    if 0 < free < needed:
        raise NotMeasured(f"needs over {needed / 2**30:.0f} GiB of memory")
    by = _calls if task.calls else _losses if task.reference else _seeds if task.seeds else _fits
    found = by(timed, case, library, settings, ledger)
    score = {passes: task.score(case.problem, output) for passes, output in found.pop("outputs").items()}
    # Families that score while they run have no outputs, and their own score wins below.
    info |= case.describe()
    info |= {
        "library": library,
        "distribution": peer.distribution,
        "sample": peer.sample,
        "note": peer.note,
        "reference": task.reference,
    }
    info |= {"score_name": task.score_name, "score_format": task.score_format, "score": score}
    info |= found
    if task.operations is not None:
        info["operations"] = task.operations(shape)


def _fits(timed: Timed, case: Case, library: str, settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """Fits of n iterations: see the head of this file."""
    peer = TASKS[case.task].peers[library]
    predicted = ledger.predict(case, library)
    shortest = predicted * (peer.passes(1) if peer.typical_first else peer.passes(2))
    if shortest > settings.limit:
        raise NotMeasured(f"over {settings.limit:.0f} s (about {predicted:.0f} s an iteration expected)")

    ours = library.startswith("latom")
    with Worker(case.task, library, case.folder, case.threads, peer.environment) as worker:
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
                cheap = settings.rounds * peer.passes(n_iter) * one / peer.passes(1) <= settings.budget
                rounds = settings.rounds if ours or cheap else settings.peer_rounds
        timed(fit, args=(n_iter,), rounds=rounds)
        timed_fits = fits[-rounds:]
        last = timed_fits[-1]
        scored = peer.scored_passes(last.n_iter)
        outputs = {str(scored): worker.output()}
        if library == "latom":  # its score after as many passes as the others made
            for passes in SCORED_PASSES:
                if str(passes) not in outputs:
                    fit(passes - peer.scored_passes(0))
                    outputs[str(passes)] = worker.output()

    seconds = float(np.median([run.seconds for run in timed_fits]))
    per_iteration = seconds / (last.n_iter if how == "whole" else peer.passes(last.n_iter))
    ledger.seconds.setdefault((case.task, library), []).append((case.work, per_iteration))
    return {
        "version": worker.version,
        "how": how,
        "n_iter": last.n_iter,
        "passes": scored,
        "fit_seconds": seconds,
        "seconds_per_iteration": per_iteration,
        "memory": last.memory,
        "outputs": outputs,
    }


def _calls(timed: Timed, case: Case, library: str, settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """Blocks of calls: see the head of this file. Nothing is predicted: small cases are no guide."""
    peer = TASKS[case.task].peers[library]
    with Worker(case.task, library, case.folder, case.threads, peer.environment) as worker:
        blocks: list[Measured] = []

        def block(count: int) -> Measured:
            blocks.append(worker.fit(count, settings.limit))
            return blocks[-1]

        count = calibrate(block, settings.block)
        affordable = int(settings.budget / blocks[-1].seconds)
        least = 3 if affordable or library.startswith("latom") else settings.peer_rounds
        rounds = min(settings.blocks, max(least, affordable))
        timed(block, args=(count,), rounds=rounds)
        output = worker.output()
    seconds = float(np.median([run.seconds for run in blocks[-rounds:]]))
    return {
        "version": worker.version,
        "how": "calls",
        "n_iter": count,
        "passes": 1,
        "fit_seconds": seconds,
        "seconds_per_iteration": seconds / count,
        "memory": blocks[-1].memory,
        "outputs": {"1": output},
    }


def _losses(timed: Timed, case: Case, library: str, settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """Fits of more and more iterations; many short ones end with the budget. See the head of this file."""
    peer, score = TASKS[case.task].peers[library], TASKS[case.task].score
    lengths, most = (peer.lengths, settings.budget) if peer.lengths else (LENGTHS, settings.limit)
    losses: list[tuple[int, float, float]] = []  # iterations, seconds, loss

    def run_all() -> Measured:
        worker.fit(1, settings.limit)
        for count in lengths:
            if losses and losses[-1][1] / losses[-1][0] * count > most:
                break
            last = worker.fit(count, settings.limit)
            losses.append((count, last.seconds, score(case.problem, worker.output())))
        return last

    with Worker(case.task, library, case.folder, case.threads, peer.environment) as worker:
        last = timed(run_all, rounds=1)
    (first_count, first, _), (count, seconds, _) = losses[0], losses[-1]
    return {
        "version": worker.version,
        "how": "losses",
        "n_iter": count,
        "passes": count,
        "fit_seconds": seconds,
        "seconds_per_iteration": (seconds - first) / (count - first_count)
        if len(losses) > 1
        else seconds / count,
        "memory": last.memory,
        "losses": losses,
        "outputs": {},
    }


def _seeds(timed: Timed, case: Case, library: str, settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """Fits from many seeds: see the head of this file."""
    peer, score = TASKS[case.task].peers[library], TASKS[case.task].score
    predicted = ledger.predict(case, library)
    if predicted > settings.limit:
        raise NotMeasured(f"over {settings.limit:.0f} s (about {predicted:.0f} s expected)")
    runs: list[Measured] = []
    scores: list[float] = []

    def run_all() -> None:
        first = worker.fit(0, settings.limit)
        if 2 * first.seconds > settings.budget:  # it is long enough that warming up hardly counts
            runs.append(first)
            scores.append(score(case.problem, worker.output()))
        spent = first.seconds
        while len(runs) < settings.seeds and (not runs or spent + runs[-1].seconds < settings.budget):
            runs.append(worker.fit(len(runs), settings.limit))
            scores.append(score(case.problem, worker.output()))
            spent += runs[-1].seconds

    with Worker(case.task, library, case.folder, case.threads, peer.environment) as worker:
        timed(run_all, rounds=1)
    seconds = float(np.median([run.seconds for run in runs]))
    ledger.seconds.setdefault((case.task, library), []).append((case.work, seconds))
    return {
        "version": worker.version,
        "how": "seeds",
        "n_iter": float(np.median([run.n_iter for run in runs])),
        "passes": 1,
        "rounds": len(runs),
        "fit_seconds": seconds,
        "seconds_per_iteration": seconds,
        "memory": runs[-1].memory,
        "score": {"1": float(np.median(scores))},
        "outputs": {},
    }


def calibrate(block: Callable[[int], Measured], least: float) -> int:
    """Calls that take at least `least` seconds together. The first call only warms up, unless it is long."""
    count, seconds = 1, block(1).seconds
    if seconds < 10 * least:
        seconds = block(1).seconds
    while seconds < least:
        # A tenth more, as later calls may be faster; at most 100 times more, as one call may be noise.
        count = min(100 * count, ceil(1.1 * count * least / seconds))
        seconds = block(count).seconds
    return count


def _plan(one: float, predicted: float, passes: Callable[[int], int], settings: Settings) -> tuple[str, int]:
    """Kind and iterations of the fit to time, from the seconds of a fit of one iteration."""
    a_pass = max(one / passes(1), predicted)  # the first iteration of some libraries is cheap
    if a_pass * passes(settings.n_iter) <= settings.budget:
        return "whole", settings.n_iter
    return "short", 3 if a_pass * passes(3) <= settings.budget else 2
