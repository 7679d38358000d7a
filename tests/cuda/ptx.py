"""Runs the PTX that nvcc wrote, on the processor: what is tested is the output of that compiler.

A block at a time, a numpy lane per thread; the threads with the lowest program counter go first, so that
branches meet again. Global memory is one arena, shared memory one array per block. Errors are: an access
outside an array, a ``.sync`` whose lanes are not all there, a barrier that some threads never reach, and an
instruction that is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from ptx_memory import BASE, Memory

TYPES: dict[str, Any] = {
    "pred": np.bool_,
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
    **{f"{kind}{bits}": getattr(np, f"uint{bits}") for kind in ("b", "u") for bits in (8, 16, 32, 64)},
    **{f"s{bits}": getattr(np, f"int{bits}") for bits in (8, 16, 32, 64)},
}
REGISTERS = {
    "%p": np.bool_,
    "%rs": np.uint16,
    "%r": np.uint32,
    "%rd": np.uint64,
    "%f": np.float32,
    "%fd": np.float64,
}
WIDER = {np.int32: np.int64, np.uint32: np.uint64, np.int16: np.int32, np.uint16: np.uint32}
COMPARE: dict[str, Callable[..., Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
PLAIN: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "rcp": np.reciprocal,
    "min": np.fmin,
    "max": np.fmax,
}
LOGIC = {
    "and": (np.bitwise_and, np.logical_and),
    "or": (np.bitwise_or, np.logical_or),
    "xor": (np.bitwise_xor, np.logical_xor),
    "not": (np.bitwise_not, np.logical_not),
}
ATOMIC: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "max": max,
    "min": min,
    "or": lambda a, b: a | b,
}


class Kernel:
    """One entry of a PTX file."""

    def __init__(self, text: str, name: str) -> None:
        self.name = re.findall(rf"\.entry (\w*{name}\w*)", text)[0]
        header, body = text[text.index(".entry " + self.name) :].split("{", 1)
        depth, end = 1, 0
        while depth:
            depth += {"{": 1, "}": -1}.get(body[end], 0)
            end += 1
        body = re.sub(r"//.*", "", body[: end - 1])
        self.params = re.findall(
            r"\.param\s+(?:\.align\s+\d+\s+)?(?:\.\w+\s+)+?(\w+?)(?:\[\d+\])?[,\s)]", header
        )
        self.shared: dict[str, int] = {}
        self.shared_bytes = 0
        declared = r"\.shared\s+\.align\s+(\d+)\s+\.(\w+)\s+(\w+)(?:\[(\d+)\])?;"
        for align, kind, symbol, count in re.findall(declared, text):  # some stand outside of the entries
            if not re.search(rf"\b{symbol}\b", body):
                continue
            at = (self.shared_bytes + int(align) - 1) // int(align) * int(align)
            self.shared[symbol] = at
            self.shared_bytes = at + np.dtype(TYPES[kind]).itemsize * int(count or 1)
        body = re.sub(r"\.(shared|reg)\s[^;]*;", "", body)
        self.code: list[tuple[str | None, bool, list[str], list[str], str]] = []
        self.labels: dict[str, int] = {}
        for piece in re.split(r"[;\n]", re.sub(r"\{\s*(cvt[^}]*?)\}", r"\1", body)):
            self._read(piece.strip())

    def _read(self, piece: str) -> None:
        while found := re.match(r"(\$\w+):\s*", piece):
            self.labels[found[1]] = len(self.code)
            piece = piece[found.end() :]
        if piece in ("", "}", "{") or piece.startswith(".pragma"):
            return
        parts = re.match(r"(?:@(!?)(%p\d+)\s+)?([a-z][\w.:]*)\s*(.*)", piece)
        if parts is None:
            raise ValueError(f"not an instruction: {piece!r}")
        args = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", parts[4])
        self.code.append((parts[2], bool(parts[1]), parts[3].split("."), args, piece))

    def launch(self, memory: Memory, grid: int, threads: int, values: list[bytes]) -> None:
        """Runs all blocks; one bytes object per parameter."""
        params = dict(zip(self.params, values, strict=True))
        for block in range(grid):
            Block(self, memory, block, grid, threads, params).run()


class Block:
    """One block of threads, with its registers and shared memory."""

    def __init__(
        self, kernel: Kernel, memory: Memory, block: int, grid: int, threads: int, params: dict[str, bytes]
    ) -> None:
        self.kernel, self.memory, self.n, self.params = kernel, memory, threads, params
        self.registers: dict[str, Any] = {}
        self.at = np.zeros(threads, np.int64)
        self.done, self.waits = np.zeros(threads, bool), np.zeros(threads, bool)
        self.shared = np.full(max(kernel.shared_bytes, 1), 0xFF, np.uint8)
        self.special = {
            "%tid.x": np.arange(threads, dtype=np.uint32),
            "%ctaid.x": np.full(threads, block, np.uint32),
            "%ntid.x": np.full(threads, threads, np.uint32),
            "%nctaid.x": np.full(threads, grid, np.uint32),
        }

    def run(self) -> None:
        code = self.kernel.code
        with np.errstate(all="ignore"):
            while not self.done.all():
                ready = ~self.done & ~self.waits
                if not ready.any():
                    if self.done.any() or len(set(self.at)) > 1:
                        raise RuntimeError(f"{self.kernel.name}: a barrier that not all threads reach")
                    self._meet(code[self.at[0]])
                    continue
                at = self.at[ready].min()
                self._instruction(code[at], ready & (self.at == at), at)

    def _meet(self, instruction: Any) -> None:
        _, _, op, args, _ = instruction
        if "red" in op:
            every = np.ones(self.n, bool)
            total = self.value(args[2], np.bool_, every).sum()
            self.put(args[0], np.full(self.n, total, np.uint32), every)
        self.at += 1
        self.waits[:] = False

    def _instruction(self, instruction: Any, on: Any, at: int) -> None:
        predicate, negated, op, args, piece = instruction
        if op[0] in ("bar", "barrier") and op[1] != "warp":
            self.waits |= on
            return
        taken = on if predicate is None else on & (self.registers[predicate] != negated)
        self.at[on] = at + 1
        if op[0] == "bra":
            self.at[taken] = self.kernel.labels[args[0]]
        elif op[0] in ("ret", "exit"):
            self.done |= taken
        elif taken.any():
            try:
                self.step(op, args, taken)
            except (KeyError, NotImplementedError, IndexError, TypeError, ValueError) as error:
                raise type(error)(f"{error} in: {piece}") from error

    def value(self, arg: str, dtype: Any, on: Any) -> Any:
        """An operand of the threads that are on."""
        count, size = int(on.sum()), np.dtype(dtype).itemsize
        if arg in self.special:
            return self.special[arg][on].astype(f"u{size}").view(dtype)
        if arg.startswith("%"):
            held = self.registers[arg][on]
            if held.dtype == np.bool_ or held.dtype == np.dtype(dtype):
                return held
            same = size == held.dtype.itemsize
            return held.view(dtype) if same else held.astype(f"u{held.dtype.itemsize}").astype(dtype)
        if arg in self.params:  # where it lies: number and offset
            return np.full(count, self.kernel.params.index(arg) << 32, dtype)
        if arg in self.kernel.shared:
            return np.full(count, self.kernel.shared[arg], dtype)
        if arg.startswith(("0f", "0d")):
            bits = np.array([int("0x" + arg[2:], base=0)], np.uint32 if arg[1] == "f" else np.uint64)
            return np.full(count, bits.view(np.float32 if arg[1] == "f" else np.float64)[0], dtype)
        return np.full(count, int(arg, 0) & ((1 << size * 8) - 1), f"u{size}").view(dtype)

    def put(self, arg: str, value: Any, on: Any) -> None:
        """A result into the registers of the threads that are on."""
        if arg == "_":
            return
        found = re.match(r"%[a-z]+", arg)
        assert found is not None
        kind = REGISTERS[found[0]]
        value = np.asarray(value)
        if kind != np.bool_ and value.dtype != kind:
            size = np.dtype(kind).itemsize
            if value.dtype.itemsize != size:
                value = value.astype(f"u{size}" if value.dtype.kind in "uib" else kind)
            value = value.view(kind)
        self.registers.setdefault(arg, np.zeros(self.n, kind))[on] = value

    def place(self, arg: str, on: Any, space: str, size: int) -> tuple[Any, Any]:
        """Memory and offsets of an access."""
        found = re.match(r"(.+?)(?:\+(-?\d+))?$", arg[1:-1])
        assert found is not None
        where = self.value(found[1], np.uint64 if space == "global" else np.uint32, on)
        at = where.astype(np.int64) + int(found[2] or 0)
        if (at % size).any():
            raise IndexError("misaligned access")
        if space == "global":
            self.memory.check(at - BASE, size)
            return self.memory.bytes, at - BASE
        if ((at < 0) | (at + size > self.kernel.shared_bytes)).any():
            raise IndexError("shared access outside its array")
        return self.shared, at

    def lanes(self, on: Any, mask: str) -> Any:
        """Indices of the threads that are on; each warp's must hold the lanes of the mask."""
        index, masks = np.flatnonzero(on), self.value(mask, np.uint32, on)
        for warp in np.unique(index // 32):
            here = index // 32 == warp
            have = sum(1 << int(i % 32) for i in index[here])
            if any(int(m) & ~have for m in np.unique(masks[here])):
                raise RuntimeError(f"{self.kernel.name}: a .sync whose lanes are not all there")
        return index

    def step(self, op: list[str], args: list[str], on: Any) -> None:
        """One instruction for the threads that are on."""
        name, dtype = op[0], TYPES.get(op[-1])
        special = getattr(self, "_" + name, None)
        if special is not None:
            special(op, args, on, dtype)
            return
        operands = [self.value(arg, dtype, on) for arg in args[1:]]
        if name in PLAIN and "wide" not in op and "hi" not in op:
            self.put(args[0], PLAIN[name](*operands), on)
        elif name in LOGIC:
            self.put(args[0], LOGIC[name][dtype is np.bool_](*operands), on)
        elif name == "div" and dtype in (np.float32, np.float64):
            self.put(args[0], operands[0] / operands[1], on)
        elif name in ("div", "rem"):  # of integers: cut toward 0
            rest = np.fmod(*operands)
            self.put(args[0], rest if name == "rem" else (operands[0] - rest) // operands[1], on)
        elif name == "mul" and "wide" in op:
            self.put(args[0], operands[0].astype(WIDER[dtype]) * operands[1].astype(WIDER[dtype]), on)
        elif name == "mad" and op[1] == "lo":
            self.put(args[0], operands[0] * operands[1] + operands[2], on)
        elif name == "popc":
            self.put(args[0], np.array([int(x).bit_count() for x in operands[0]], np.uint32), on)
        elif name == "brev":
            self.put(args[0], np.array([int(f"{x:032b}"[::-1], 2) for x in operands[0]], np.uint32), on)
        elif op[:2] == [
            "bfind",
            "shiftamt",
        ]:  # how far the first bit is from the left; all bits where there is none
            away = [32 - int(x).bit_length() if x else 0xFFFFFFFF for x in operands[0]]
            self.put(args[0], np.array(away, np.uint32), on)
        else:
            raise NotImplementedError(".".join(op))

    def _fma(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        a, b, c = (self.value(arg, dtype, on) for arg in args[1:])
        if dtype is np.float32:  # of screens, whose bounds allow for the rounding to float64 on the way
            self.put(args[0], (a.astype(np.float64) * b + c).astype(np.float32), on)
            return
        if dtype is not np.float64 or not all((np.float64(np.float32(x)) == x).all() for x in (a, b)):
            raise NotImplementedError("a fused multiply-add whose product float64 does not hold exactly")
        self.put(args[0], a * b + c, on)

    def _selp(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        yes, no = self.value(args[1], dtype, on), self.value(args[2], dtype, on)
        self.put(args[0], np.where(self.registers[args[3]][on], yes, no), on)

    def _setp(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        a, b = self.value(args[1], dtype, on), self.value(args[2], dtype, on)
        kind = op[1][:2] if op[1][:2] in COMPARE else op[1]
        unordered = np.isnan(a) | np.isnan(b) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
        met = COMPARE[kind](a, b)
        self.put(args[0], met | unordered if op[1] == kind + "u" else met & ~unordered, on)

    def _mov(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        if args[1].startswith("{"):  # two halves make a whole
            low, high = (
                self.value(a.strip(), np.uint32, on).astype(np.uint64) for a in args[1][1:-1].split(",")
            )
            self.put(args[0], low | high << np.uint64(32), on)
        elif args[0].startswith("{"):
            whole = self.value(args[1], np.uint64, on)
            for i, part in enumerate(args[0][1:-1].split(",")):
                self.put(part.strip(), (whole >> np.uint64(32 * i)).astype(np.uint32), on)
        else:
            self.put(args[0], self.value(args[1], dtype, on), on)

    _cvta = _mov

    def _cvt(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        self.put(args[0], self.value(args[1], dtype, on).astype(TYPES[op[-2]]), on)

    def _shl(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        bits, x = np.dtype(dtype).itemsize * 8, self.value(args[1], dtype, on)
        by = self.value(args[2], np.uint32, on)
        near = np.minimum(by, bits - 1).astype(x.dtype)
        left = op[0] == "shl"
        moved = x << near if left else x >> near
        self.put(args[0], np.where((by >= bits) & (left | (x.dtype.kind == "u")), 0, moved).astype(dtype), on)

    _shr = _shl

    def _ld(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        vector = next((int(part[1]) for part in op if re.fullmatch(r"v\d", part)), 1)
        size, names = np.dtype(dtype).itemsize, args[0].strip("{}").split(",")
        if op[1] == "param":
            found = re.match(r"\[(%?\w+?)(?:\+(-?\d+))?\]$", args[1])
            assert found is not None
            at = int(self.value(found[1], np.uint64, on)[0]) + int(found[2] or 0)
            held = np.frombuffer(self.params[self.kernel.params[at >> 32]], np.uint8)[at & 0xFFFFFFFF :]
            for i, name in enumerate(names):
                one = held[i * size : (i + 1) * size].view(dtype)[0]
                self.put(name.strip(), np.full(on.sum(), one, dtype), on)
            return
        memory, at = self.place(args[1], on, op[1], size * vector)
        for i, name in enumerate(names):
            cells = (at + i * size)[:, None] + np.arange(size)
            self.put(name.strip(), np.ascontiguousarray(memory[cells]).view(dtype)[:, 0], on)

    def _st(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        size = np.dtype(dtype).itemsize
        memory, at = self.place(args[0], on, op[1], size)
        value = np.ascontiguousarray(self.value(args[1], dtype, on)).view(np.uint8)
        memory[at[:, None] + np.arange(size)] = value.reshape(-1, size)

    def _atom(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        given, size = args[1:] if op[0] == "atom" else args, np.dtype(dtype).itemsize
        memory, at = self.place(given[0], on, op[1], size)
        with_, old = self.value(given[1], dtype, on), np.zeros(on.sum(), dtype)
        for i, place in enumerate(at):
            cell = memory[place : place + size].view(dtype)
            old[i] = cell[0]
            cell[0] = ATOMIC[op[2]](cell[0], with_[i])
        if op[0] == "atom":
            self.put(args[0], old, on)

    _red = _atom

    def _vote(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        index, met = self.lanes(on, args[2]), self.value(args[1], np.bool_, on)
        if op[2] == "any":
            self.put(args[0], np.isin(index // 32, index[met] // 32), on)
            return
        ballot = np.zeros(on.sum(), np.uint32)
        for warp in np.unique(index // 32):
            here = index // 32 == warp
            ballot[here] = sum(1 << int(i % 32) for i in index[here & met])
        self.put(args[0], ballot, on)

    def _redux(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        index, held = self.lanes(on, args[2]), self.value(args[1], np.uint32, on)
        total = np.bincount(index // 32, weights=held.astype(np.float64))  # sums of counts: far below 2^53
        self.put(args[0], total[index // 32].astype(np.uint32), on)

    def _shfl(self, op: list[str], args: list[str], on: Any, dtype: Any) -> None:
        index, control = self.lanes(on, args[4]), int(self.value(args[3], np.uint32, on)[0])
        held, by = np.zeros(self.n, np.uint32), self.value(args[2], np.uint32, on).astype(np.int64)
        held[on] = self.value(args[1], np.uint32, on)
        lane, keep = index % 32, control >> 8 & 31
        most = (lane & keep) | (control & 31 & ~keep)
        sources = {"idx": (lane & keep) | (by & ~keep & 31), "bfly": lane ^ by, "up": lane - by}
        source = sources[op[2]]
        inside = source >= most if op[2] == "up" else source <= most
        names = args[0].split("|")
        self.put(names[0], held[index - lane + np.where(inside, source, lane)], on)
        if len(names) > 1:
            self.put(names[1], inside, on)
