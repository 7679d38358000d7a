"""Random damage to bytes, JSON and arrays."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from fuzzing import pick

NASTY_JSON = [
    None,
    True,
    False,
    0,
    1,
    2,
    3,
    -1,
    2.0,
    2.5,
    1e308,
    1e400,
    float("nan"),
    2**31,
    2**63,
    2**64,
    10**30,
    "",
    "2",
    "topk",
    "none",
    "None",
    "false",
    "\0",
    "\ud800",
    "x" * 3000,
    [],
    {},
    [2],
    {"k": 2},
    [[1]],
    {"": None},
    "standard",
    "jumprelu",
]
NASTY_BYTES = [
    b"",
    b"\0",
    b"\xff" * 8,
    b"\0" * 8,
    b"PK\3\4",
    b"\x93NUMPY",
    b"{",
    b"}",
    b'"',
    b"9" * 20,
    b"-1",
    b"1e999",
    b"\n",
]


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """The bytes with one to four changes of any kind."""
    for _ in range(int(rng.integers(1, 5))):
        data = _once(rng, data)
    return data


def _once(rng: np.random.Generator, data: bytes) -> bytes:
    n = len(data)
    i, j = sorted(int(v) for v in rng.integers(0, n + 1, 2))
    kind = int(rng.integers(8))
    if kind == 0:
        return data[:i]
    if kind == 1:
        return data[:i] + data[j:]
    if kind == 2:
        return data[:i] + pick(rng, NASTY_BYTES) + data[i:]
    if kind == 3:
        return data[:i] + data[i:j][:64] * 2 + data[j:]
    if kind == 4 and n:  # one byte, most often near the front, where formats keep their numbers
        at = int(n * rng.random() ** 3)
        return data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]
    if kind == 5 and n:
        at = int(rng.integers(n))
        return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
    if kind == 6:
        block = rng.bytes(int(rng.integers(1, 17)))
        return data[:i] + block + data[i + len(block) :]
    return data[:i] + pick(rng, NASTY_BYTES) + data[j:]


def changed_json(rng: np.random.Generator, value: Any) -> Any:
    """A JSON value with one part replaced, dropped, doubled or wrapped."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = pick(rng, value)
        change = int(rng.integers(6))
        if change == 0:
            return {k: v for k, v in value.items() if k != key}
        if change == 1:
            return value | {str(pick(rng, ["extra", "K", "", key.upper()])): pick(rng, NASTY_JSON)}
        inner = changed_json(rng, value[key]) if change == 2 else pick(rng, NASTY_JSON)
        return value | {key: inner}
    return pick(rng, NASTY_JSON)


def changed_array(rng: np.random.Generator, value: Any) -> Any:
    """An array with other numbers, another type, or another shape."""
    value = np.asarray(value)
    kind = int(rng.integers(5))
    if kind == 0 and value.size:
        value = value.copy()
        number = pick(rng, [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38, -3e38, 1e-160, 1e160])
        with np.errstate(all="ignore"):
            value.reshape(-1)[int(rng.integers(value.size))] = (
                np.float64(number) if value.dtype.kind == "f" else 1
            )
        return value
    if kind == 1:
        types = ["f2", "f8", ">f4", "i1", "u1", "i8", "u8", "?", "c8", "c16", "S3", "U3"]
        with np.errstate(all="ignore"):
            return value.astype(pick(rng, types))
    if kind == 2:
        scale = pick(rng, [0.0, 1e-45, 1e-38, 1e-20, 1e20, 1e38])
        with np.errstate(all="ignore"):
            return (value * scale).astype(value.dtype) if value.dtype.kind == "f" else value
    if value.ndim == 0:
        return value.reshape(1)
    if kind == 3:
        cut = [value[:0], value[:1], value[1:], value[..., :0], value[..., 1:]]
        return pick(rng, [*cut, value[None], value.reshape(-1), value.T])
    return np.concatenate([value, value])


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")
