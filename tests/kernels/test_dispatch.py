"""What LATOM_ISA and the thread variables ask for is what runs; each case in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import core
import pytest

SETTINGS = ("LATOM_ISA", "LATOM_NUM_THREADS", "OMP_NUM_THREADS")
CODE = "import json, latom; print(json.dumps(latom.config()))"


def run(code: str = CODE, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in SETTINGS}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


def config(**settings: str) -> dict[str, Any]:
    done = run(**settings)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("isa", core.available_isas())
def test_the_asked_for_variant_runs(isa: str) -> None:
    found = config(LATOM_ISA=isa)
    assert found["isa"] == isa
    assert found["available_isas"] == core.available_isas()


@pytest.mark.parametrize("settings", [{}, {"LATOM_ISA": ""}])
def test_the_best_variant_runs_when_none_is_named(settings: dict[str, str]) -> None:
    assert config(**settings)["isa"] == core.available_isas()[-1]


@pytest.mark.parametrize("wrong", ["sse9", "AVX2", "avx2 ", "avx512,avx2"])
def test_an_unknown_variant_is_an_import_error_that_names_the_choices(wrong: str) -> None:
    done = run(LATOM_ISA=wrong)
    assert done.returncode == 1  # an exception, not a signal
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: latom: LATOM_ISA must name a variant")
    assert f"({', '.join(core.available_isas())})" in last
    assert f"got '{wrong}'" in last


def test_the_baseline_comes_first_and_names_are_known() -> None:
    names = core.available_isas()
    assert names[0] == "baseline"
    assert set(names) <= {"baseline", "avx2", "avx512", "avx512bf16"}


def test_set_isa_puts_a_variant_in_force(isa: str) -> None:
    assert core.isa() == isa


def test_set_isa_refuses_unknown_names_and_keeps_the_variant(isa: str) -> None:
    with pytest.raises(ValueError, match=r"baseline.*got 'sse9'"):
        core.set_isa("sse9")
    assert core.isa() == isa


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"LATOM_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"LATOM_NUM_THREADS": "none", "OMP_NUM_THREADS": "2"}, 2),
        ({"LATOM_NUM_THREADS": "0", "OMP_NUM_THREADS": "-1"}, None),
        ({}, None),
    ],
)
def test_threads_come_from_the_environment_and_the_machine(
    settings: dict[str, str], expected: int | None
) -> None:
    found = config(**settings)["n_threads"]
    if expected is not None:
        assert found == expected
    elif hasattr(os, "sched_getaffinity"):
        assert 1 <= found <= len(os.sched_getaffinity(0))  # less under a cgroup quota
    else:
        assert 1 <= found <= (os.cpu_count() or 1)


def test_show_config_tells_what_runs() -> None:
    code = "import latom; latom.show_config(); print(latom.__version__)"
    done = run(code, LATOM_ISA="baseline", LATOM_NUM_THREADS="3")
    *lines, version = done.stdout.splitlines()
    assert {f"version: {version}", "isa: baseline", "n_threads: 3"} < set(lines), done.stderr


def test_an_argument_beats_the_environment() -> None:
    done = run("from latom import _core; print(_core.resolve_threads(7))", LATOM_NUM_THREADS="3")
    assert done.stdout.strip() == "7", done.stderr


def test_the_environment_counts_as_it_was_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call reads it: another thread may be changing it."""
    before = core.resolve_threads(0)
    monkeypatch.setenv("LATOM_NUM_THREADS", str(before + 3))
    monkeypatch.setenv("OMP_NUM_THREADS", str(before + 3))
    assert core.resolve_threads(0) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_the_machine_means_the_cpus_of_this_process() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from latom import _core; print(_core.resolve_threads(0))"
    )
    done = run(code)
    assert done.stdout.strip() == "1", done.stderr
