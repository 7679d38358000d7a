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

# The program that runs kernels, and their sources.
DRIVERS = {
    "topk": ("driver.cpp", ("atoms.cu", "topk.cu", "plain_product.cu")),
    "codes": ("driver_codes.cpp", ("atoms.cu", "above.cu", "gather.cu", "plain_product.cu")),
    "cluster": ("driver_cluster.cpp", ("cluster.cu",)),
    "csr": ("driver_csr.cpp", ("csr_nearest.cu",)),
}
# Of each driver, by name: what finds it, file, text, and what stands there instead.
TOPK = {
    "no barrier after left = 0": (
        *(RACES, "decide.cuh", "    if (t == 0) left = 0;\n    __syncthreads();"),
        "    if (t == 0) left = 0;",
    ),
    "no barrier before the ranks": (
        *(RACES, "decide.cuh", "    __syncthreads();\n    return count;"),
        "    return count;",
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
            "screen.cuh",
            'check(cudaStreamWaitEvent(stream, side.ready[turn], 0), "cudaStreamWaitEvent");',
        ),
        "",
    ),
    "a wait for the buffer is dropped": (
        *(PLAIN, "screen.cuh", "if (first > 0 || at >= 2 * s.panel) check"),
        "if (first > 99) check",
    ),
}
CODES = {
    "a floor above the threshold": (
        *(PLAIN, "above.cuh", "floor = floor - fabs(floor) * 0x1p-22 - 0x1p-40;"),
        "floor = floor + fabs(floor) * 0x1p-3;",
    ),
    "scores at the threshold": (
        PLAIN,
        "above.cuh",
        "if (!(score > threshold)) continue;",
        "if (score < threshold) continue;",
    ),
    "no barrier before matches are counted": (
        *(RACES, "above.cuh", "    __syncthreads();\n    if (t == 0) out.count[i] = kept;"),
        "    if (t == 0) out.count[i] = kept;",
    ),
    "matches of earlier warps are not counted": (
        *(PLAIN, "above.cuh", "                if (w < t / 32) at += of_warp[w];\n"),
        "",
    ),
    "no barrier before the next tile's votes": (
        *(
            RACES,
            "above.cuh",
            "            __syncthreads();  // before the next tile's votes, and the next row's scores\n",
        ),
        "",
    ),
    "counts of earlier turns are lost": (PLAIN, "scan.cuh", "            before += of_warp[w];\n", ""),
    "a shuffle among too few": (
        *(PLAIN, "scan.cuh", "__shfl_up_sync(kAllLanes, upto"),
        "__shfl_up_sync(0xffffu, upto",
    ),
    "zeros are written": (PLAIN, "scan.cuh", "if (!in.keep_zeros && v[c] == V{0}) continue;", ""),
    "entries of earlier warps are not counted": (
        *(PLAIN, "sort.cuh", "            for (int w = 0; w < warp; ++w) at += of_warp[w][digit];\n"),
        "",
    ),
    "places move before all have been read": (
        *(RACES, "sort.cuh", "        __syncthreads();  // all places have been read\n"),
        "",
    ),
    "a sort that is not stable": (
        *(PLAIN, "sort.cuh", "place[digit] + __popc(before)"),
        "place[digit] + __popc(same) - 1 - __popc(before)",
    ),
    "one pass of the sort": (PLAIN, "gather.cu", "shift < 31 &&", "shift < 8 &&"),
    "fused products of rows": (
        *(PLAIN, "gather.cuh", "return __fadd_rn(sum, __fmul_rn(x, value));"),
        "return __fmaf_rn(x, value, sum);",
    ),
    "one run for all entries": (
        PLAIN,
        "gather.cuh",
        "constexpr int kRun = 256",
        "constexpr int kRun = 1 << 20",
    ),
    "a column too many": (
        MEMORY,
        "gather.cuh",
        "c < d; c += kThreads) {\n        T sum = bias",
        "c <= d; c += kThreads) {\n        T sum = bias",
    ),
}
CLUSTER = {
    "a row that goes is added": (PLAIN, "sums.cuh", "if (e < 0) w = -w;", ""),
    "a level is left out": (
        PLAIN,
        "sums.cuh",
        "if (l < grids.row.levels) add",
        "if (l + 1 < grids.row.levels) add",
    ),
    "places that are not taken atomically": (
        *(RACES, "sums.cuh", "atomicAdd(&count[label[i]], -1) - 1"),
        "--count[label[i]]",
    ),
    "clusters of a piece run together": (PLAIN, "sums.cuh", "piece.cluster[e + 1] == cluster", "true"),
    "no barrier before the piece is added": (
        *(RACES, "sums.cuh", "to, piece);\n        __syncthreads();"),
        "to, piece);",
    ),
    "a piece beyond the list": (
        MEMORY,
        "sums.cuh",
        "all - first < kPiece ? static_cast<int>(all - first) : kPiece",
        "kPiece",
    ),
    "no carry": (PLAIN, "centers.cuh", "        part[l - 1] += up;\n", ""),
    "the old center goes before it has been read": (
        *(RACES, "centers.cuh", "        __syncthreads();  // the old center has been read\n"),
        "",
    ),
    "a product is read before it is made": (
        *(RACES, "centers.cuh", "    __syncthreads();\n    return dot;"),
        "    return dot;",
    ),
    "a barrier in a branch": (
        *(PLAIN, "centers.cuh", "        __syncthreads();  // all have read what the first thread resets\n"),
        "        if (t == 0) __syncthreads();\n",
    ),
    "costs in another order": (
        *(
            PLAIN,
            "centers.cuh",
            "sum = __dadd_rn(sum, weight != nullptr ? __dmul_rn(weight[i], cost) : cost);",
        ),
        "sum = __fma_rn(weight != nullptr ? weight[i] : 1.0, cost, sum);",
    ),
}
CSR = {
    "a bound without the errors of the data": (
        *(PLAIN, "pack.cuh", "residual * bounds->length + rounded * bounds->residual +"),
        "",
    ),
    "ties to the highest center": (PLAIN, "csr_nearest.cuh", "j < atom", "j > atom"),
    "a decision in float32": (
        *(PLAIN, "csr_slab.cuh", "return ruled(centers.factor, centers.bias, dot, j);"),
        "return static_cast<float>(ruled(centers.factor, centers.bias, dot, j));",
    ),
    "the last slab is dropped": (
        *(PLAIN, "csr_nearest.cu", "at < widest; at += slab.stride"),
        "at + slab.stride <= widest; at += slab.stride",
    ),
    "the last slice of a slab is dropped": (
        *(PLAIN, "csr_nearest.cuh", "slices = (slab.count + kSlice - 1) / kSlice"),
        "slices = max(1, slab.count / kSlice)",
    ),
    "a slab that is not emptied": (
        *(
            PLAIN,
            "csr_nearest.cu",
            "check(cudaMemsetAsync(slab.half, 0, bytes, stream)",
        ),
        "if (first == 0) check(cudaMemsetAsync(slab.half, 0, bytes, stream)",
    ),
    "a bound on the others without its error": (
        *(PLAIN, "csr_nearest.cuh", "note_highest(out, r, high + e, next + e);"),
        "note_highest(out, r, high - e, next - e);",
    ),
    "the next highest of a warp is forgotten": (
        *(PLAIN, "csr_nearest.cuh", "max(key_of(next), min(key, atomicMax(&out.top[r], key)))"),
        "min(key, atomicMax(&out.top[r], key))",
    ),
    "what a higher bound displaces is forgotten": (
        *(PLAIN, "csr_nearest.cuh", "max(key_of(next), min(key, atomicMax(&out.top[r], key)))"),
        "max(key_of(next), 0 * atomicMax(&out.top[r], key))",
    ),
    "the known center counts twice": (PLAIN, "csr_nearest.cuh", "if (j == known) continue;", ""),
    "the known center does not count": (
        *(PLAIN, "csr_nearest.cuh", "if (known >= 0) best.take(of.known_own[at], known);"),
        "",
    ),
    "centers as they stand": (
        PLAIN,
        "csr_slab.cuh",
        "return order != nullptr ? order[position] : position;",
        "return position;",
    ),
    "rows that look at too little": (
        *(PLAIN, "csr_nearest.cu", "return v > at; }"),
        "return v > at + kSlice; }",
    ),
    "a slab that is not made again": (
        *(PLAIN, "csr_nearest.cu", "if (first == 0 || slab.stride < m)"),
        "if (first == 0)",
    ),
    "columns that no slice is said to have": (
        PLAIN,
        "csr_slab.cuh",
        "atomicOr(&slab.held[t], slice);",
        "atomicOr(&slab.held[t], t % 8 != 7 ? slice : 0u);",
    ),
    "the last terms of a row are left out": (
        *(PLAIN, "csr_slab.cuh", "base < end; base += 32"),
        "base + 32 <= end; base += 32",
    ),
    "terms beyond a row": (MEMORY, "csr_slab.cuh", "if (base + lane < end) {", "{"),
    "a floor that nothing reaches": (
        *(PLAIN, "csr_nearest.cuh", "const float floor = max(high - e,"),
        "const float floor = max(high + 2 * e,",
    ),
    "a crowd is forgotten": (PLAIN, "csr_nearest.cuh", "crowded = __any_sync(kAllLanes, atom < 0) != 0;", ""),
    "places that are not taken atomically": (
        *(RACES, "csr_nearest.cuh", "place = atomicAdd(&out.filled[r], all);"),
        "place = out.filled[r], out.filled[r] += all;",
    ),
    "the room is not looked at": (PLAIN, "csr_nearest.cuh", "    if (place >= kListed) return;\n", ""),
    "a team's best is not looked at": (
        PLAIN,
        "csr_nearest.cuh",
        "by = kTeam; by < 32",
        "by = 2 * kTeam; by < 32",
    ),
    "a shuffle in a branch": (
        *(PLAIN, "csr_nearest.cuh", "const double score = score_center(of.rows, i, of.centers, j, held);"),
        "const double score = held ? score_center(of.rows, i, of.centers, j, held) : 0.0;",
    ),
    "columns that are not marked atomically": (
        *(RACES, "csr_slab.cuh", "atomicOr(&slab.held[t], slice);"),
        "slab.held[t] |= slice;",
    ),
    "no barrier before the teams' bests are read": (
        *(RACES, "csr_nearest.cuh", "        __syncthreads();\n        if (t == 0) {"),
        "        if (t == 0) {",
    ),
    "no barrier before the next row's": (
        *(RACES, "csr_nearest.cuh", "        __syncthreads();  // before the next row's\n"),
        "",
    ),
}
FAULTS = {
    **{f"topk: {name}": ("topk", *fault) for name, fault in TOPK.items()},
    **{f"codes: {name}": ("codes", *fault) for name, fault in CODES.items()},
    **{f"cluster: {name}": ("cluster", *fault) for name, fault in CLUSTER.items()},
    **{f"csr: {name}": ("csr", *fault) for name, fault in CSR.items()},
}


def build(folder: Path, flags: tuple[str, ...], csrc: Path, driver: str) -> Path:
    """A driver, with the kernels of a copy of the sources."""
    program = folder / "driver"
    main, kernels = DRIVERS[driver]
    sources = [
        "-x",
        "c++",
        *(str(csrc / "cuda" / kernel) for kernel in kernels),
        str(ROOT / "tests/cuda" / main),
    ]
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
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("flags", [PLAIN, MEMORY, RACES], ids=["plain", "memory", "races"])
def test_the_kernels_are_clean(tmp_path: Path, flags: tuple[str, ...], driver: str) -> None:
    program = build(tmp_path, flags, ROOT / "csrc", driver)
    for order in ("forward", "reverse", "7"):
        done = run(program, order, flags)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(tmp_path: Path, name: str) -> None:
    driver, flags, file, text, instead = FAULTS[name]
    csrc = tmp_path / "csrc"
    for part in ("core", "cuda", "include"):
        shutil.copytree(ROOT / "csrc" / part, csrc / part)
    source = (csrc / "cuda" / file).read_text()
    assert source.count(text) >= 1
    (csrc / "cuda" / file).write_text(source.replace(text, instead, 1))
    program = build(tmp_path, flags, csrc, driver)
    found = [order for order in ("forward", "reverse", "7") if run(program, order, flags).returncode]
    assert found, f"no order of threads shows: {name}"
