"""Global memory of the PTX that is interpreted."""

from __future__ import annotations

from typing import Any

import numpy as np

BASE = 1 << 20  # address of the arena; what is below is nobody's


class Memory:
    """Global memory: arrays with gaps between them that nobody may touch."""

    def __init__(self, size: int) -> None:
        self.bytes, self.used = np.full(size, 0xFF, np.uint8), 256
        self.owned: list[tuple[int, int]] = []

    def put(self, array: Any) -> int:
        """Address of a copy of the array."""
        array = np.ascontiguousarray(array)
        at = (self.used + 255) // 256 * 256
        self.used = at + array.nbytes + 256
        self.bytes[at : at + array.nbytes] = array.reshape(-1).view(np.uint8)
        self.owned.append((at, at + array.nbytes))
        return BASE + at

    def get(self, at: int, dtype: Any, shape: tuple[int, ...]) -> Any:
        """A copy of what stands at an address."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.bytes[at - BASE : at - BASE + size].view(dtype).reshape(shape).copy()

    def view(self, at: int, dtype: Any, count: int) -> Any:
        """What stands at an address, to be written to."""
        size = count * np.dtype(dtype).itemsize
        return self.bytes[at - BASE : at - BASE + size].view(dtype)

    def check(self, at: Any, size: int) -> None:
        """Refuses accesses outside the arrays."""
        fine = np.zeros(at.shape, bool)
        for low, high in self.owned:
            fine |= (at >= low) & (at + size <= high)
        if not fine.all():
            raise IndexError(f"global access outside any array: {at[~fine][:3] + BASE}")
