"""Options, fixtures and JSON fields of the benchmarks. See README.md."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import Corpus, Problem, dense_corpus, initial_rows, sample_rows, save, sparse_corpus
from measure import Case, Ledger, Settings, measure
from peak import peaks
from runner import NotMeasured, available_cpus
from tasks import TASKS

LEDGER = Ledger()
Built = tuple[Path, Problem]
Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], Built]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("latom benchmarks")
    group.addoption("--libraries", default="", help="comma-separated names; default: all")
    group.addoption("--rows", type=int, default=0, help="use so many random rows; default: all")
    group.addoption("--iterations", type=int, default=10, help="iterations of a fit (10)")
    group.addoption("--budget", type=float, default=20.0, help="seconds of a planned fit (20)")
    group.addoption("--limit", type=float, default=300.0, help="seconds before a fit is ended (300)")
    group.addoption("--rounds", type=int, default=3, help="timed fits of latom (3)")
    group.addoption("--peer-rounds", type=int, default=1, help="timed fits of a peer (1)")
    group.addoption("--blocks", type=int, default=5, help="timed blocks of calls, fewer over --budget (5)")
    group.addoption("--block", type=float, default=0.2, help="seconds of a block of calls, at least (0.2)")


def _sampled(whole: Corpus, request: pytest.FixtureRequest) -> Corpus:
    rows = request.config.getoption("--rows")
    return Corpus(whole.name, sample_rows(whole.X, rows)) if rows else whole


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest) -> Corpus:
    """The sparse corpus of this session, or the rows of it that `--rows` asks for."""
    return _sampled(sparse_corpus(), request)


@pytest.fixture(scope="session")
def embeddings(request: pytest.FixtureRequest) -> Corpus:
    """The dense rows of this session, or those of them that `--rows` asks for."""
    return _sampled(dense_corpus(), request)


@pytest.fixture(scope="session")
def stored() -> Iterator[Stored]:
    """Function (key, make) -> folder and arrays of a problem. The last problem alone is kept."""
    kept: dict[tuple[Any, ...], tuple[tempfile.TemporaryDirectory[str], Problem]] = {}

    def forget() -> None:
        for folder, _ in kept.values():
            folder.cleanup()
        kept.clear()

    def get(key: tuple[Any, ...], make: Callable[[], Problem]) -> Built:
        if key not in kept:
            forget()  # the largest take hundreds of megabytes, on disk and in memory
            problem = make()
            folder = tempfile.TemporaryDirectory(prefix="latom-bench-")
            kept[key] = folder, problem
            save(problem, Path(folder.name))
        folder, problem = kept[key]
        return Path(folder.name), problem

    yield get
    forget()


@pytest.fixture(scope="session")
def kmeans_problem(stored: Stored) -> Callable[[Corpus, float, int], Built]:
    """Function (corpus, fraction of the rows, m) -> folder and arrays of a k-means problem."""

    def build(corpus: Corpus, fraction: float, m: int) -> Built:
        n = int(corpus.X.shape[0] * fraction)
        if m > n // 2:
            pytest.skip(f"m = {m} needs at least {2 * m} rows; got {n}")

        def make() -> Problem:
            X = sample_rows(corpus.X, n)
            return {"X": X, "init": initial_rows(X, m)}

        return stored((corpus.name, n, m), make)

    return build


@pytest.fixture
def run_case(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Case, str], None]:
    """Function (case, library): measures and records, or skips with the reason."""
    option = request.config.getoption
    names = ("--iterations", "--budget", "--limit", "--rounds", "--peer-rounds", "--blocks", "--block")
    settings = Settings(*(option(name) for name in names))
    wanted = [name for name in option("--libraries").split(",") if name]

    def run(case: Case, library: str) -> None:
        if wanted and library not in wanted:
            pytest.skip("not among --libraries")
        benchmark.group = " ".join(f"{key}={value}" for key, value in case.describe().items())
        try:
            if TASKS[case.task].peaks:  # in the same run as what they are compared with
                benchmark.extra_info["peaks"] = peaks(case.threads)
            measure(benchmark.pedantic, benchmark.extra_info, case, library, settings, LEDGER)
        except NotMeasured as reason:
            entry = case.describe() | {"library": library, "reason": str(reason)}
            LEDGER.not_measured.append(entry)
            pytest.skip(str(reason))

    return run


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]
) -> None:
    """Add what pytest-benchmark does not know: cases without a time, and the set-up."""
    output_json["not_measured"] = LEDGER.not_measured
    output_json["setup"] = {
        "cpus": available_cpus(),
        "memory": _total_memory(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": metadata.version("scipy"),
        "iterations": config.getoption("--iterations"),
        "budget": config.getoption("--budget"),
        "limit": config.getoption("--limit"),
        "rounds": config.getoption("--rounds"),
        "peer_rounds": config.getoption("--peer-rounds"),
        "blocks": config.getoption("--blocks"),
        "block": config.getoption("--block"),
    }


def _total_memory() -> int:
    try:
        first = Path("/proc/meminfo").read_text().split("\n", 1)[0]
    except OSError:
        return 0
    return int(first.split()[1]) * 1024
