"""Builds the C++ tests and runs them: as they are, and with sanitizers where ``-m long`` asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BESIDE = str(Path(sys.executable).parent)  # cmake and ninja installed from wheels
PATH = os.pathsep.join([BESIDE, os.environ.get("PATH", "")])
CMAKE = shutil.which("cmake", path=PATH)
NINJA = shutil.which("ninja", path=PATH)
COMPILER = next(
    (found for name in (os.environ.get("CXX", "c++"), "g++", "clang++") if (found := shutil.which(name))),
    None,
)

if not (ROOT / "CMakeLists.txt").exists():
    pytest.skip("the sources are not here", allow_module_level=True)
if CMAKE is None or COMPILER is None:
    pytest.skip("no cmake or no C++ compiler", allow_module_level=True)


def run(*command: str | Path, timeout: int = 600) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "PATH": PATH, "UBSAN_OPTIONS": "print_stacktrace=1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def require(sanitizer: str, folder: Path) -> None:
    """Skips unless a program with this sanitizer can be built and run here."""
    source, program = folder / "probe.cpp", folder / "probe"
    source.write_text("#include <thread>\nint main() { std::thread([] {}).join(); }\n")
    try:
        run(str(COMPILER), "-std=c++20", f"-fsanitize={sanitizer}", "-pthread", source, "-o", program)
        run(program)
    except AssertionError as error:
        pytest.skip(f"-fsanitize={sanitizer} does not work here: {str(error)[:300]}")


@pytest.mark.slow
def test_cpp_tests_pass(tmp_path: Path) -> None:
    built = os.environ.get("LATOM_CORE")  # .ci/run has the same core built already
    core = [f"-DLATOM_CORE={built}"] if built else []
    build_and_run(tmp_path / "build", "-DCMAKE_BUILD_TYPE=Release", *core)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_cpp_tests_pass_under(sanitizer: str, tmp_path: Path) -> None:
    require(sanitizer, tmp_path)
    build_and_run(tmp_path / "build", "-DCMAKE_BUILD_TYPE=Release", f"-DLATOM_SANITIZE={sanitizer}")


def build_and_run(build: Path, *options: str) -> None:
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={NINJA}"] if NINJA else []
    run(
        *[str(CMAKE), "-S", ROOT, "-B", build, *generator],
        *["-DLATOM_BUILD_TESTS=ON", "-DLATOM_WERROR=ON", *options],
    )
    parallel = str(min(os.cpu_count() or 1, 8))
    run(str(CMAKE), "--build", build, "--target", "latom_tests", "--parallel", parallel)
    output = run(build / "latom_tests")
    assert " 0 failed checks" in output
