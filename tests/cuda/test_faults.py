"""Faults planted in the kernels are found, and sanitizers find none in the kernels as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GXX = shutil.which("g++")
if GXX is None or not (ROOT / "csrc").exists():
    pytest.skip("no g++, or the sources are not here", allow_module_level=True)

PLAIN = ("-O1",)
MEMORY = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RACES = ("-O1", "-g", "-fsanitize=thread")

# Name: what finds it, file, text, and what stands there instead.
FAULTS = {
    "no barrier after left = 0": (
        *(RACES, "decide.cuh", "    if (t == 0) left = 0;\n    __syncthreads();"),
        "    if (t == 0) left = 0;",
    ),
    "no barrier before the ranks": (
        *(RACES, "decide.cuh", "    __syncthreads();\n    write_ranked(to, first"),
        "    write_ranked(to, first",
    ),
    "the floor is written before all have read it": (
        *(RACES, "select.cuh", "    __syncthreads();  // all have read the floor\n"),
        "",
    ),
    "a sum is set to 0 before all have read it": (
        *(RACES, "exact.cuh", "    __syncthreads();  // before it is set to 0 again\n"),
        "",
    ),
    "an addition that is not atomic": (RACES, "decide.cuh", "atom[atomicAdd(&left, 1)]", "atom[left++]"),
    "a barrier that some threads skip": (
        *(PLAIN, "decide.cuh", "    __syncthreads();\n    const int count = left, lane"),
        "    if (t < filled) __syncthreads();\n    const int count = left, lane",
    ),
    "a shuffle in a branch": (
        *(PLAIN, "dot8.cuh", "    sum = __dadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 4));"),
        "    if (held) sum = __dadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 4));",
    ),
    "the room is not looked at": (MEMORY, "select.cuh", "if (keep && place < kCapacity)", "if (keep)"),
    "loads beyond a row of scores": (
        *(MEMORY, "select.cuh", "        if (from >= panel.count) continue;\n"),
        "",
    ),
    "another tree of sums": (
        PLAIN,
        "dot8.cuh",
        "__shfl_xor_sync(kAllLanes, sum, 4)",
        "__shfl_xor_sync(kAllLanes, sum, 1)",
    ),
    "fused products of float64": (
        *(PLAIN, "dot8.cuh", "return __dadd_rn(sum, __dmul_rn(a, b));"),
        "return __fma_rn(a, b, sum);",
    ),
    "a bound without the errors of the data": (
        *(PLAIN, "pack.cuh", "residual * bounds->length + rounded * bounds->residual +"),
        "",
    ),
    "a bound without the rounding of scores": (
        *(PLAIN, "select.cuh", "constexpr float kHalfError = 1.0f / 1024 + 1.0f / 65536"),
        "constexpr float kHalfError = 0",
    ),
    "ties to the highest atom": (PLAIN, "decide.cuh", "atom[o] < atom[c]", "atom[o] > atom[c]"),
    "ties of the exact path cut too early": (
        PLAIN,
        "exact.cuh",
        "key(j) == kth && j < end",
        "key(j) == kth && j + 1 < end",
    ),
    "a wait for the product is dropped": (
        *(
            PLAIN,
            "topk.cu",
            'check(cudaStreamWaitEvent(stream, side.ready[turn], 0), "cudaStreamWaitEvent");',
        ),
        "",
    ),
    "a wait for the buffer is dropped": (
        *(PLAIN, "topk.cu", "if (first > 0 || at >= 2 * w.panel) check"),
        "if (first > 99) check",
    ),
}


def build(folder: Path, flags: tuple[str, ...], csrc: Path) -> Path:
    """The driver, with the kernels of a copy of the sources."""
    program = folder / "driver"
    sources = ["-x", "c++", str(csrc / "cuda/topk.cu"), str(csrc / "cuda/plain_product.cu")]
    sources += [str(ROOT / "tests/cuda/driver.cpp")]
    done = subprocess.run(
        [str(GXX), "-std=c++20", "-ffp-contract=off", "-w", f"-I{csrc}", f"-I{csrc / 'include'}", *flags]
        + [*sources, "-o", str(program)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode and "sanitize" in " ".join(flags) and "cannot find" in done.stderr:
        pytest.skip(f"no sanitizer: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr[-4000:]
    return program


def run(program: Path, order: str, flags: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    setarch = shutil.which("setarch")  # the thread sanitizer wants addresses that do not move
    return subprocess.run(
        [*([setarch, "-R"] if setarch else []), str(program), *(["few"] if flags == RACES else [])],
        env={**os.environ, "LATOM_SIMT_ORDER": order, "TSAN_OPTIONS": "halt_on_error=1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("flags", [PLAIN, MEMORY, RACES], ids=["plain", "memory", "races"])
def test_the_kernels_are_clean(tmp_path: Path, flags: tuple[str, ...]) -> None:
    program = build(tmp_path, flags, ROOT / "csrc")
    for order in ("forward", "reverse", "7"):
        done = run(program, order, flags)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(tmp_path: Path, name: str) -> None:
    flags, file, text, instead = FAULTS[name]
    csrc = tmp_path / "csrc"
    for part in ("cuda", "include"):
        shutil.copytree(ROOT / "csrc" / part, csrc / part)
    source = (csrc / "cuda" / file).read_text()
    assert source.count(text) >= 1
    (csrc / "cuda" / file).write_text(source.replace(text, instead, 1))
    program = build(tmp_path, flags, csrc)
    found = [order for order in ("forward", "reverse", "7") if run(program, order, flags).returncode]
    assert found, f"no order of threads shows: {name}"
