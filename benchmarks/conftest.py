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
from data import Corpus, Problem, initial_rows, sample_rows, save, sparse_corpus
from measure import Case, Ledger, Settings, measure
from runner import NotMeasured, available_cpus

LEDGER = Ledger()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("latom benchmarks")
    group.addoption("--libraries", default="", help="comma-separated names; default: all")
    group.addoption("--rows", type=int, default=0, help="use so many random rows; default: all")
    group.addoption("--iterations", type=int, default=10, help="iterations of a fit (10)")
    group.addoption("--budget", type=float, default=20.0, help="seconds of a planned fit (20)")
    group.addoption("--limit", type=float, default=300.0, help="seconds before a fit is ended (300)")
    group.addoption("--rounds", type=int, default=3, help="timed fits of latom (3)")
    group.addoption("--peer-rounds", type=int, default=1, help="timed fits of a peer (1)")


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest) -> Corpus:
    """The sparse corpus of this session, or the rows of it that `--rows` asks for."""
    whole = sparse_corpus()
    rows = request.config.getoption("--rows")
    return Corpus(whole.name, sample_rows(whole.X, rows)) if rows else whole


@pytest.fixture(scope="session")
def sparse_problem(
    corpus: Corpus,
) -> Iterator[Callable[[float, int], tuple[Path, Problem]]]:
    """Function (fraction of the rows, m) -> folder and arrays of a k-means problem."""
    with tempfile.TemporaryDirectory(prefix="latom-bench-") as base:

        def build(fraction: float, m: int) -> tuple[Path, Problem]:
            X = sample_rows(corpus.X, int(corpus.X.shape[0] * fraction))
            if m > X.shape[0] // 2:
                pytest.skip(f"m = {m} needs at least {2 * m} rows; got {X.shape[0]}")
            problem = {"X": X, "init": initial_rows(X, m)}
            folder = Path(base, f"{X.shape[0]}-{m}")
            if not folder.exists():
                folder.mkdir()
                save(problem, folder)
            return folder, problem

        yield build


@pytest.fixture
def run_case(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Case, str], None]:
    """Function (case, library): measures and records, or skips with the reason."""
    option = request.config.getoption
    names = ("--iterations", "--budget", "--limit", "--rounds", "--peer-rounds")
    settings = Settings(*(option(name) for name in names))
    wanted = [name for name in option("--libraries").split(",") if name]

    def run(case: Case, library: str) -> None:
        if wanted and library not in wanted:
            pytest.skip("not among --libraries")
        benchmark.group = " ".join(f"{key}={value}" for key, value in case.describe().items())
        try:
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
    }


def _total_memory() -> int:
    try:
        first = Path("/proc/meminfo").read_text().split("\n", 1)[0]
    except OSError:
        return 0
    return int(first.split()[1]) * 1024
