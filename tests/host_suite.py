"""Runs a host library's own tests with names swapped by a plugin, and holds them to a reviewed list."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def check(
    folder: Path,
    plugin: Path,
    modules: list[str],
    expected: Mapping[str, str],
    at_least: int,
    leave_out: str = "",
) -> None:
    """Every test of the modules passes but for those expected to fail, and these fail.

    Parameters
    ----------
    folder : Path
        Where pytest runs, outside of this project's settings.
    plugin : Path
        The file that swaps names when it is imported.
    modules : list of str
        Dotted names of the test modules.
    expected : mapping
        Test and why it may fail.
    at_least : int
        So many have to pass.
    leave_out : str
        A pytest expression of tests that have nothing to do with what is swapped.
    """
    paths = [str(plugin.parent), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "pytest", "-p", plugin.stem, "-p", "no:cacheprovider", "-q", "-rfE"]
    chosen = ["-k", f"not ({leave_out})"] if leave_out else []
    done = subprocess.run(
        [*command, "--tb=no", *chosen, "--pyargs", *modules],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout + done.stderr
    assert int(passed[1]) >= at_least, done.stdout
    failed = set(re.findall(r"^(?:FAILED|ERROR) \S*::(\S+)", done.stdout, re.MULTILINE))
    assert failed - set(expected) == set(), done.stdout
    assert set(expected) - failed == set(), "pass now: take them off the list"
