"""Kernels of the GPU as PTX, called one by one as csrc/cuda queues them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from ptx import BASE, Kernel, Memory

_READ: dict[tuple[str, str], Kernel] = {}
CAPACITY, BOUNDS, COUNTS = 1024, 32, 24  # of select.cuh, and bytes of bounds.h


def kernel(ptx: dict[str, str], file: str, name: str, letter: str = "") -> Kernel:
    """A kernel of a source; letter: the type that it is an instance for."""
    pattern = f"{name}I{letter}" if letter else name
    if (file, pattern) not in _READ:
        _READ[file, pattern] = Kernel(ptx[file], pattern)
    return _READ[file, pattern]


def quad(*values: int) -> bytes:
    return struct.pack(f"{len(values)}Q", *values)


def whole(value: int) -> bytes:
    return struct.pack("i", value)


class Atoms:
    """Atoms as csrc/cuda/atoms.cu prepares them, kernel by kernel."""

    def __init__(self, ptx: Any, M: Memory, W: Any, measure: int, bias: Any = None) -> None:
        (m, d), letter = W.shape, "f" if W.dtype == np.float32 else "d"
        self.m, self.d, self.depth, self.padded = m, d, (d + 7) // 8 * 8, (m + 7) // 8 * 8
        header = np.zeros(BOUNDS, np.uint8)
        header[24:28] = 0x7F  # bad
        self.W, self.bounds = M.put(W), M.put(header)
        norm2, factor, own_bias = (M.put(np.zeros(m)) for _ in range(3))
        kernel(ptx, "atoms", "measure_rows", letter).launch(
            M, -(-m // 16), 128, [quad(self.W), whole(m), whole(d), quad(norm2), quad(self.bounds + 24)]
        )
        kernel(ptx, "atoms", "rule_of_atoms").launch(
            *(M, -(-m // 128), 128),
            [quad(norm2), whole(m), whole(measure), quad(factor), quad(own_bias), quad(self.bounds)],
        )
        self.factors = factor if measure == 1 else 0
        self.biases = own_bias if measure == 2 else M.put(bias) if bias is not None else 0
        self.halves = M.put(np.zeros((self.padded, self.depth), np.float16))
        self.bias32 = M.put(np.zeros(self.padded, np.float32))
        kernel(ptx, "atoms", "pack_atoms", letter).launch(
            *(M, -(-self.padded // 16), 128),
            [quad(self.W), whole(m), whole(self.padded), whole(d), whole(self.depth), quad(norm2)]
            + [
                quad(self.factors),
                quad(self.biases),
                quad(self.halves),
                quad(self.bias32),
                quad(self.bounds),
            ],
        )


class Screen:
    """Rows through the screen of csrc/cuda/screen.cuh, with a product by numpy."""

    def __init__(self, ptx: Any, file: str, M: Memory, X: Any, atoms: Atoms) -> None:
        (n, d), self.letter = X.shape, "f" if X.dtype == np.float32 else "d"
        self.n, self.M, self.ptx, self.file, self.atoms = n, M, ptx, file, atoms
        self.x, self.norm2 = M.put(X), M.put(np.zeros(n))
        self.counts, self.overflowed = M.put(np.zeros(COUNTS, np.uint8)), M.put(np.zeros(n, np.int32))
        M.bytes[self.counts - BASE + np.array([0, 1, 2, 3, 16, 17, 18, 19])] = 0x7F  # bad, unheld
        kernel(ptx, "atoms", "measure_rows", self.letter).launch(
            M, -(-n // 16), 128, [quad(self.x), whole(n), whole(d), quad(self.norm2), quad(self.counts)]
        )
        rows16 = M.put(np.zeros((n, atoms.depth), np.float16))
        self.scale, self.error = M.put(np.zeros(n, np.float32)), M.put(np.zeros(n, np.float32))
        kernel(ptx, file, "pack_rows", self.letter).launch(
            *(M, -(-n // 16), 128),
            [quad(self.x), whole(0), whole(n), whole(d), whole(atoms.depth), quad(self.norm2)]
            + [quad(atoms.bounds), quad(rows16), quad(self.scale), quad(self.error)],
        )
        product = M.get(rows16, np.float16, (n, atoms.depth)).astype(np.float64)
        product = product @ M.get(atoms.halves, np.float16, (atoms.padded, atoms.depth)).astype(np.float64).T
        self.score = M.put(product.astype(np.float16))
        lists = [M.put(np.zeros(n, kind)) for kind in (np.float32, np.int32)]
        lists += [M.put(np.zeros((n, CAPACITY), kind)) for kind in (np.float32, np.int32)]
        self.lists = quad(*lists)
        self.filled = lists[1]

    def select(self, k: int, magnitude: bool) -> None:
        """Lists what may be wanted, from the floors that are there."""
        atoms = self.atoms
        panel = quad(self.score, atoms.padded) + struct.pack("2i", 0, atoms.m)
        panel += quad(atoms.bias32 if atoms.biases else 0)
        kernel(self.ptx, self.file, "select_candidates").launch(
            *(self.M, self.n, 256),
            [panel, whole(k), struct.pack("?", magnitude), quad(self.scale), quad(self.error), self.lists],
        )

    def decision(
        self, k: int, measure: int, order: int, values: int, indices: int, dots: int, bars: int
    ) -> bytes:
        """The bytes of Decision of csrc/cuda/decide.cuh."""
        atoms = self.atoms
        head = quad(self.x, atoms.W) + struct.pack("5i4x", atoms.d, k, atoms.m, measure, order)
        head += quad(atoms.factors, atoms.biases, self.norm2, bars)
        return head + quad(values, indices, dots, self.counts)

    def found(self) -> Any:
        """(first bad row, overflowed) that the kernels have counted."""
        return self.M.get(self.counts, np.int32, (2,))
