#!/usr/bin/env python3

# /// script
# dependencies = ["nox>=2025.2.9"]
# ///

"""The checks of this repository, each by one name.

    nox                          lint and types, in small environments of their own: seconds
    nox -s tests -- -k topk      builds and installs latom with its test tools, then runs pytest
    nox -s minimum               the same with the oldest dependencies and Python; skipped without that Python
    nox -s hosts                 tests of latom.compat in the libraries whose names it has
    nox -s free_threaded         many threads at once, in a free-threaded Python; skipped without one

The extension takes minutes to build. Whoever has installed it already (CONTRIBUTING says how) reuses it, in
the environment that is active; .ci/run does so as well:

    nox --no-venv --no-install -s tests -- -k topk
"""

from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False  # on CI as elsewhere

PYPROJECT = nox.project.load_toml("pyproject.toml")
PROJECT = PYPROJECT["project"]


def install_group(session: nox.Session, name: str) -> None:
    session.install(*nox.project.dependency_groups(PYPROJECT, name))


@nox.session
def lint(session: nox.Session) -> None:
    """Form and spelling."""
    install_group(session, "lint")
    files = [path for folder in ("csrc", "tests/cpp") for path in Path(folder).rglob("*")]
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


@nox.session(default=False, python=PROJECT["requires-python"].removeprefix(">="))
def minimum(session: nox.Session) -> None:
    """The tests with the oldest versions that pyproject.toml declares."""
    oldest = [requirement.replace(">=", "==") for requirement in PROJECT["dependencies"]]
    session.install(".[test]", *oldest)
    # They meet newer tools, which may deprecate what they do; all else is an error, as pyproject.toml has it.
    session.run("python", "-m", "pytest", "-W", "default::DeprecationWarning", *session.posargs)


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
