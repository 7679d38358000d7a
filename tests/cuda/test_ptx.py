"""The PTX of nvcc, interpreted: what that compiler made of the kernels gives the CPU's bits."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ptx import Kernel, Memory

import latom

ROOT = Path(__file__).parents[2]
NVCC = shutil.which("nvcc")
if NVCC is None or not (ROOT / "csrc").exists():
    pytest.skip("no nvcc, or the sources are not here", allow_module_level=True)

CAPACITY, BOUNDS = 1024, 48  # of select.cuh, and bytes of bounds.h


@pytest.fixture(scope="module")
def ptx(tmp_path_factory: pytest.TempPathFactory) -> str:
    """PTX of all kernels of topk.cu."""
    made: Path = tmp_path_factory.mktemp("ptx") / "topk.ptx"
    command = [str(NVCC), "-std=c++20", "-O3", "-fmad=false", "-arch=compute_80", "-DLATOM_CUDA"]
    command += ["-Icsrc", "-Icsrc/include", "-ptx", "csrc/cuda/topk.cu", "-o", str(made)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return made.read_text()


def quad(*values: int) -> bytes:
    return struct.pack(f"{len(values)}Q", *values)


def whole(value: int) -> bytes:
    return struct.pack("i", value)


def topk(ptx: str, X: Any, W: Any, k: int, measure: int, order: int, bias: Any, overflow: bool) -> Any:
    """What csrc/cuda/topk.cu queues, kernel by kernel, with a product by numpy."""
    (n, d), m = X.shape, len(W)
    letter = "f" if X.dtype == np.float32 else "d"
    kernel = {
        name: Kernel(ptx, rf"{name}I{letter}" if typed else name)
        for name, typed in [
            *[("measure_rows", True), ("pack_atoms", True), ("pack_rows", True), ("decide_rows", True)],
            *[("settle_rows", True), ("rule_of_atoms", False), ("start_rows", False)],
            *[("select_candidates", False), ("list_all_rows", False)],
        ]
    }
    M, depth, padded = Memory(8 << 20), (d + 7) // 8 * 8, (m + 7) // 8 * 8
    x, w = M.put(X), M.put(W)
    header = np.zeros(BOUNDS, np.uint8)
    header[24:32] = 0x7F  # bad_atom and bad_row
    bounds = M.put(header)
    atom_norm2, row_norm2, factor, own_bias = (M.put(np.zeros(size)) for size in (m, n, m, m))
    kernel["measure_rows"].launch(
        M, -(-m // 16), 128, [quad(w), whole(m), whole(d), quad(atom_norm2), quad(bounds + 24)]
    )
    kernel["measure_rows"].launch(
        M, -(-n // 16), 128, [quad(x), whole(n), whole(d), quad(row_norm2), quad(bounds + 28)]
    )
    kernel["rule_of_atoms"].launch(
        M,
        -(-m // 128),
        128,
        [quad(atom_norm2), whole(m), whole(measure), quad(factor), quad(own_bias), quad(bounds)],
    )
    factors = factor if measure == 1 else 0
    biases = own_bias if measure == 2 else M.put(bias) if bias is not None else 0
    values, indices = M.put(np.full((n, k), np.nan, X.dtype)), M.put(np.full((n, k), -1, np.int32))
    decision = quad(x, w) + struct.pack("5i4x", d, k, m, measure, order)
    decision += quad(factors, biases, row_norm2, values, indices)
    overflowed = M.put(np.zeros(n, np.int32))
    if overflow:
        kernel["list_all_rows"].launch(M, 1, 256, [whole(n), quad(overflowed), quad(bounds)])
    else:
        halves, bias32 = M.put(np.zeros((padded, depth), np.float16)), M.put(np.zeros(padded, np.float32))
        kernel["pack_atoms"].launch(
            *(M, -(-padded // 16), 128),
            [quad(w), whole(m), whole(padded), whole(d), whole(depth), quad(atom_norm2)]
            + [quad(factors), quad(biases), quad(halves), quad(bias32), quad(bounds)],
        )
        rows16 = M.put(np.zeros((n, depth), np.float16))
        scale, error = M.put(np.zeros(n, np.float32)), M.put(np.zeros(n, np.float32))
        kernel["pack_rows"].launch(
            *(M, -(-n // 16), 128),
            [quad(x), whole(0), whole(n), whole(d), whole(depth), quad(row_norm2), quad(bounds)]
            + [quad(rows16), quad(scale), quad(error)],
        )
        product = M.get(rows16, np.float16, (n, depth)).astype(np.float64)
        product = product @ M.get(halves, np.float16, (padded, depth)).astype(np.float64).T
        score = M.put(product.astype(np.float16))
        lists = [M.put(np.zeros(n, kind)) for kind in (np.float32, np.int32)]
        lists += [M.put(np.zeros((n, CAPACITY), kind)) for kind in (np.float32, np.int32)]
        floor = np.finfo(np.float32).min if order == 0 else 0.0
        kernel["start_rows"].launch(M, 1, 256, [quad(*lists), whole(n), struct.pack("f", floor)])
        panel = quad(score, padded) + struct.pack("2i", 0, m) + quad(bias32 if biases else 0)
        kernel["select_candidates"].launch(
            *(M, n, 256),
            [panel, whole(k), struct.pack("?", order == 2), quad(scale), quad(error), quad(*lists)],
        )
        kernel["decide_rows"].launch(
            M, n, 128, [decision, quad(*lists), whole(0), quad(bounds), quad(overflowed)]
        )
    scratch = [M.put(np.zeros((2, m))), M.put(np.zeros((2, k))), M.put(np.zeros((2, k), np.int32))]
    kernel["settle_rows"].launch(M, 2, 256, [decision, quad(bounds), quad(overflowed), quad(*scratch)])
    bad = M.get(bounds + 24, np.int32, (3,))
    assert (bad[:2] > 1 << 30).all()
    assert bad[2] == (n if overflow else 0)
    return M.get(values, X.dtype, (n, k)), M.get(indices, np.int32, (n, k))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("metric", "activation", "biased", "overflow"),
    [
        *[("dot", "identity", True, False), ("cosine", "abs", False, False)],
        *[("euclidean", "identity", False, False), ("dot", "relu", False, True)],
    ],
)
def test_ptx_gives_the_bits_of_the_cpu(
    ptx: str, rng: np.random.Generator, dtype: Any, metric: str, activation: str, biased: bool, overflow: bool
) -> None:
    n, d, m, k = 3, 21, 300, 7
    X, W = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
    W[150:170] = W[:20]  # ties
    bias = rng.standard_normal(m) if biased else None
    place = ("dot", "cosine", "euclidean").index(metric), ("identity", "relu", "abs").index(activation)
    values, indices = topk(ptx, X, W, k, *place, bias, overflow)
    wanted, places = latom.topk(X, W, k, metric=metric, activation=activation, bias=bias)
    np.testing.assert_array_equal(indices, places)
    np.testing.assert_array_equal(values, wanted)
