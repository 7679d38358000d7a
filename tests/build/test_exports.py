"""The extension exports what Python starts it with, the two symbols for threadpoolctl, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from latom import _core

NM = shutil.which("nm")


@pytest.mark.skipif(NM is None or not sys.platform.startswith("linux"), reason="there is no nm for ELF files")
def test_the_extension_exports_three_symbols() -> None:
    assert NM is not None
    assert _core.__file__ is not None
    command = [NM, "-D", "--defined-only", _core.__file__]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = {line.split()[-1] for line in listed.splitlines()}
    assert names == {"PyInit__core", "latom_get_num_threads", "latom_set_num_threads"}
