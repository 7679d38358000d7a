"""What a measured process finds: an environment of the benchmarks' own, and what this CPU offers to a user.

Nothing is inherited but what starts a Python and finds its files. A variable of the shell that measures, such
as a core type of OpenBLAS, would else slow down or speed up some libraries and not others. Each library runs
as installed, and where its users can choose something better, once more with that, see `peers.base.tuned`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

INHERITED = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT"),
    # Where Python and shared libraries lie: without these some interpreters do not start.
    *("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    "LATOM_DATA",
)
THREAD_VARIABLES = (
    "LATOM_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def environment(threads: int, own: Mapping[str, str]) -> dict[str, str]:
    """The variables of a measured process: those few, the number of threads, and its library's `own`."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return kept | {name: str(threads) for name in THREAD_VARIABLES} | dict(own)


@cache
def cpu_flags() -> frozenset[str]:
    """Names of instruction sets, as the system or py-cpuinfo tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        from cpuinfo import get_cpu_info  # with pytest-benchmark; it takes a second

        return frozenset(get_cpu_info().get("flags", []))
    fields = (line.partition(":") for line in lines)
    return frozenset(next((value.split() for name, _, value in fields if name.strip() == "flags"), []))


def core_type(flags: frozenset[str]) -> str:
    """The best kernels of every OpenBLAS for a CPU with these instructions; "" where none is to be chosen.

    A release that does not know a CPU takes others: one of 2021, as some wheels bring it, takes kernels
    without AVX2 or AVX-512 on processors made since.
    """
    return "SkylakeX" if "avx512f" in flags else "Haswell" if "avx2" in flags else ""


def blas_variables() -> dict[str, str]:
    """What a user of a library with OpenBLAS sets to have its best kernels; empty where nothing helps."""
    best = core_type(cpu_flags())
    return {"OPENBLAS_CORETYPE": best} if best else {}
