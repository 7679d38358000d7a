"""What tests of the GPU's extension compile with."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "csrc").glob("bindings_cuda/*.cpp"))
SOURCES += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "csrc").glob("cuda/*.cu"))


def compiler() -> str:
    """g++, which knows the float16 that the emulation needs; skips without it or without the sources."""
    found = shutil.which("g++")
    if found is None or not (ROOT / "csrc").exists():
        pytest.skip("no g++, or the sources are not here")
    if sys.platform != "linux" or sysconfig.get_platform() != "linux-x86_64":
        pytest.skip("the emulation's fibers are written for Linux on x86-64")
    return found


def run_all(commands: list[list[str]]) -> None:
    """Commands side by side; the output of one that fails is shown."""
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
        for command in commands
    ]
    for process in running:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output[-8000:]
