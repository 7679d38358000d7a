#!/usr/bin/env python3

# /// script
# dependencies = ["nox>=2025.2.9"]
# ///

"""The checks of this repository, each by one name.

    nox                          lint and types, in small environments of their own: seconds
    nox -s tests -- -k topk      builds and installs latom with its test tools, then runs pytest
    nox -s minimum               the same with the oldest dependencies and Python; skipped without that Python
    nox -s newest                the same with the newest dependencies, in each Python that is there
    nox -s newest-3.12           in one of them
    nox -s docs                  the documentation as a site, in build/docs
    nox -s hosts                 tests of latom.compat in the libraries whose names it has
    nox -s free_threaded         many threads at once, in a free-threaded Python; skipped without one

The core takes minutes to build. It knows no Python, so `core`, `minimum` and `newest` share one build of it,
in build/core. Whoever has installed latom already (CONTRIBUTING says how) reuses that, in the environment
that is active; .ci/run does so as well:

    nox --no-venv --no-install -s tests -- -k topk
"""

import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False  # on CI as elsewhere

PYPROJECT = nox.project.load_toml("pyproject.toml")
PROJECT = PYPROJECT["project"]
# Wheels of torch weigh gigabytes; without it the tests of tensors are skipped.
TOOLS = [tool for tool in PROJECT["optional-dependencies"]["test"] if not tool.startswith("torch")]


def offer_every_python() -> None:
    """Pythons that pyenv keeps are found by name only where it is told so."""
    if shutil.which("pyenv") is None or "PYENV_VERSION" in os.environ:
        return
    names: list[str] = []
    for words in (["version-name"], ["versions", "--bare", "--skip-aliases"]):
        names += subprocess.run(["pyenv", *words], capture_output=True, text=True).stdout.split()
    os.environ["PYENV_VERSION"] = ":".join(dict.fromkeys(names))


offer_every_python()


def install_group(session: nox.Session, name: str) -> None:
    session.install(*nox.project.dependency_groups(PYPROJECT, name))


def build_core(session: nox.Session) -> None:
    """Builds what knows no Python, and has whatever installs latom from here on link it."""
    if built := os.environ.get("LATOM_CORE"):  # another build's, as in .ci/run
        session.env["SKBUILD_CMAKE_DEFINE"] = f"LATOM_CORE={built}"
        return
    build = Path("build/core").resolve()
    session.install("cmake>=3.20", "ninja")
    make = Path(session.bin, "ninja")  # not that of the session which built before
    session.run_install(
        *("cmake", "-S", ".", "-B", str(build), "-G", "Ninja"),
        *(f"-DCMAKE_MAKE_PROGRAM={make}", "-DCMAKE_BUILD_TYPE=Release", "-DLATOM_WERROR=ON"),
    )
    session.run_install("cmake", "--build", str(build), "--target", "latom_core")
    session.env["SKBUILD_CMAKE_DEFINE"] = f"LATOM_CORE={build / 'liblatom_core.a'}"


@nox.session
def lint(session: nox.Session) -> None:
    """Form and spelling."""
    install_group(session, "lint")
    files = [path for folder in ("csrc", "tests/cpp", "tests/cuda") for path in Path(folder).rglob("*")]
    sources = [str(path) for path in files if path.suffix in (".h", ".cpp", ".cuh", ".cu")]
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.log("clang-format of %d sources", len(sources))
    session.run("clang-format", "--dry-run", "--Werror", *sorted(sources), log=False)
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Types of the Python package, which is read where it lies: nothing is built."""
    install_group(session, "types")
    session.run("mypy")


@nox.session(default=False)
def tests(session: nox.Session) -> None:
    """All tests, or what the arguments for pytest choose."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """The pages of docs/ as a site in build/docs; a warning is an error."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "build/docs")


@nox.session(default=False)
def core(session: nox.Session) -> None:
    """The part that knows no Python, for build/core/liblatom_core.a."""
    build_core(session)


@nox.session(default=False, python=PROJECT["requires-python"].removeprefix(">="))
def minimum(session: nox.Session) -> None:
    """The tests with the oldest versions that pyproject.toml declares."""
    oldest = [requirement.replace(">=", "==") for requirement in PROJECT["dependencies"]]
    build_core(session)
    session.install(".", *TOOLS, *oldest)
    # They meet newer tools, which may deprecate what they do; all else is an error, as pyproject.toml has it.
    session.run("python", "-m", "pytest", "-W", "default::DeprecationWarning", *session.posargs)


@nox.session(default=False, python=nox.project.python_versions(PYPROJECT, max_version="3.13"))
def newest(session: nox.Session) -> None:
    """The tests with the newest versions, in each Python that is supported."""
    build_core(session)
    session.install("--upgrade", ".", *TOOLS)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(default=False)
def cuda(session: nox.Session) -> None:
    """The extension for GPUs is built by nvcc and imported, on a machine with or without a GPU."""
    build_core(session)
    session.env["SKBUILD_CMAKE_DEFINE"] += ";LATOM_CUDA=ON"
    session.install(".")
    session.run("python", "-c", "from latom import _cuda; print(*_cuda.devices(), _cuda.emulated)")


@nox.session(default=False)
def hosts(session: nox.Session) -> None:
    """latom in other libraries, which it installs; tests/compat skips those that are missing."""
    session.install(".[test,hosts]")
    session.run("python", "-m", "pytest", "tests/compat", *session.posargs)


@nox.session(default=False, python="3.14t")
def free_threaded(session: nox.Session) -> None:
    """Many threads at once, in a Python without the interpreter's lock."""
    session.install(".", "pytest>=8", "hypothesis>=6")
    session.run("python", "-m", "pytest", "tests/api/test_threads.py", *session.posargs)


if __name__ == "__main__":
    nox.main()
