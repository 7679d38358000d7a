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
from machine import blas_variables
from measure import Case, Ledger, Settings, measure
from peak import peaks
from runner import NotMeasured, available_cpus
from tasks import TASKS

LEDGER = Ledger()
Built = tuple[Path, Problem]
Stored = Callable[[tuple[Any, ...], Callable[[], Problem]], Built]


# Numbers of a session: name -> all, with --quick, and what it means.
NUMBERS: dict[str, tuple[float, float, str]] = {
    "rows": (0, 4000, "use so many random rows of corpus, embeddings and activations; 0: all"),
    "iterations": (10, 10, "iterations of a fit"),
    "budget": (20.0, 2.0, "seconds of a planned fit"),
    "limit": (300.0, 20.0, "seconds before a fit is ended"),
    "rounds": (3, 1, "timed fits of latom, and of peers where these take no longer than the budget"),
    "peer_rounds": (1, 1, "timed fits of a slower peer"),
    "blocks": (5, 3, "timed blocks of calls, fewer over --budget"),
    "block": (0.2, 0.02, "seconds of a block of calls, at least"),
    "seeds": (10, 2, "seeds of a default fit, fewer over --budget"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("latom benchmarks")
    group.addoption("--libraries", default="", help="comma-separated names; default: all")
    group.addoption("--quick", action="store_true", help="a few small cases of each family, for a look")
    for name, (whole, quick, what) in NUMBERS.items():
        option = "--" + name.replace("_", "-")
        group.addoption(option, type=type(whole), default=None, help=f"{what} ({whole:g}; quick: {quick:g})")


def number(config: pytest.Config, name: str) -> Any:
    """A number of this session: as given, else what --quick or its absence stands for."""
    given = config.getoption(name)
    return NUMBERS[name][int(config.getoption("--quick"))] if given is None else given


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --quick, keep the cases that the function `quick` of a family's file wants."""
    if not config.getoption("--quick"):
        return
    kept = []
    for item in items:
        wanted = getattr(getattr(item, "module", None), "quick", None)
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if wanted is None or wanted(item.name.partition("[")[0], parameters):
            kept.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.fixture(scope="session")
def sampled(request: pytest.FixtureRequest) -> Callable[[Corpus], Corpus]:
    """Function: a corpus -> those of its rows that `--rows` asks for."""
    rows = number(request.config, "rows")
    return lambda whole: Corpus(whole.name, sample_rows(whole.X, rows)) if rows else whole


@pytest.fixture(scope="session")
def whole(request: pytest.FixtureRequest) -> Callable[[Corpus], Corpus]:
    """The same where quick cases keep all their rows: only what `--rows` itself asks for is left out."""
    rows = request.config.getoption("rows")
    return lambda whole: Corpus(whole.name, sample_rows(whole.X, rows)) if rows else whole


@pytest.fixture(scope="session")
def corpus(sampled: Callable[[Corpus], Corpus]) -> Corpus:
    """The sparse corpus of this session."""
    return sampled(sparse_corpus())


@pytest.fixture(scope="session")
def embeddings(sampled: Callable[[Corpus], Corpus]) -> Corpus:
    """The dense rows of this session."""
    return sampled(dense_corpus())


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
    names = ("iterations", "budget", "limit", "rounds", "peer_rounds", "blocks", "block", "seeds")
    settings = Settings(*(number(request.config, name) for name in names))
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


@pytest.hookimpl(optionalhook=True)  # the cases can be listed without pytest-benchmark
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
        "quick": bool(config.getoption("--quick")),
        "environment": blas_variables(),  # of the "tuned"; nothing else is set or inherited
        **{name: number(config, name) for name in NUMBERS},
    }


def _total_memory() -> int:
    try:
        first = Path("/proc/meminfo").read_text().split("\n", 1)[0]
    except OSError:
        return 0
    return int(first.split()[1]) * 1024
