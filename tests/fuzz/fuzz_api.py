"""Random calls of public functions and estimators, held to numpy's float64 or to one form of error."""

from __future__ import annotations

import contextlib
import copy
import signal
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import scipy.sparse as sp
from api_calls import CALLS
from call import Call
from fuzzing import Finding, check, check_error, pick

ERRORS = (ValueError, TypeError)
NAMES = list(CALLS)  # of which a case takes one
INTERRUPTS = False  # by signals; the program turns them on, pytest has handlers of its own
NUMBERS = [
    float("nan"),
    float("inf"),
    -1,
    0,
    2.5,
    True,
    2**70,
    -(2**70),
    1j,
    np.float32(2),
    np.int64(2),
    Decimal(2),
]
ARRAYS = [
    np.array([1, 2]),
    np.array(2),
    np.array(["a"]),
    np.zeros((0, 3)),
    np.array(1j),
    np.full((2, 2), np.nan),
]
OTHERS = [
    None,
    "a",
    "auto",
    "euclidean",
    b"x",
    [1],
    (),
    {},
    object(),
    np.zeros((2, 2, 2)),
    sp.csr_array((2, 2)),
]
NASTY = [*NUMBERS, *ARRAYS, *OTHERS]


def case(rng: np.random.Generator) -> str:
    name = pick(rng, NAMES)
    call: Call = CALLS[name](rng)
    spoiled = None
    if rng.random() < 0.25:
        spoiled = pick(rng, call.arguments)
        call.arguments[spoiled] = copy.deepcopy(pick(rng, NASTY))
    before = [part for given in call.given for part in given.parts()]
    where = f"{name}({', '.join(f'{k}={short(v)}' for k, v in call.arguments.items())}) of {call.kinds}"
    try:
        outcome = _outcome(rng, call, spoiled, where)
    except Finding as error:
        raise Finding(f"{error}\n  in {where}") from error.__cause__
    after = [part for given in call.given for part in given.parts()]
    check(all(map(same_bits, before, after)), f"an input was changed in {where}")
    return f"{name}: {outcome}"


def _outcome(rng: np.random.Generator, call: Call, spoiled: str | None, where: str) -> str:
    threads = int(pick(rng, [1, 2, 3, 5]))
    if INTERRUPTS and rng.random() < 0.1:
        # numpy's error state is put back here: an interrupt may fall between its being set and its block.
        with contextlib.suppress(KeyboardInterrupt, *ERRORS), np.errstate(), interrupt(rng.random() * 2e-3):
            call.run(threads)
    if "callback" in call.arguments and rng.random() < 0.1:
        _leave_by_callback(rng, call, threads)
    try:
        result = call.run(threads)
    except BaseException as error:
        theirs = spoiled in ("X", "sample_weight") or str(error).startswith("Input X contains ")
        if isinstance(error, ERRORS) and call.estimator and theirs:
            check(spoiled or not call.sane, f"sane arguments are refused: {error}")
            return "refused"  # scikit-learn looks at these first, and has messages of its own
        check_error(error, ERRORS)
        check(spoiled or not call.sane, f"sane arguments are refused: {error}")
        return "refused"
    for part in flat(result):
        check(part.dtype.kind != "f" or np.isfinite(part).all(), f"not finite: {short(part)}")
    if not spoiled:
        call.verify(result)
    if spoiled != "random_state":
        again = call.run(int(pick(rng, [1, 2, 4])))
        equal = len(flat(again)) == len(flat(result)) and all(map(same_bits, flat(result), flat(again)))
        check(equal or not call.exact, "other bits with other threads")
    return "taken" if spoiled else "right"


def _leave_by_callback(rng: np.random.Generator, call: Call, threads: int) -> None:
    """What a callback raises comes out as it is; the calls that follow must not notice."""
    error = pick(rng, [KeyboardInterrupt(), RuntimeError("of the callback")])

    def callback(state: Any) -> None:
        raise error

    before = call.arguments.get("callback")
    call.arguments["callback"] = callback
    try:
        call.run(threads)
    except BaseException as raised:
        check(raised is error or isinstance(raised, ERRORS), f"{raised!r} in place of {error!r}")
    call.arguments["callback"] = before


def flat(result: Any) -> list[np.ndarray]:
    """The arrays of a result."""
    if sp.issparse(result):
        return [np.asarray(part) for part in (result.data, result.indices, result.indptr)]
    if isinstance(result, dict):
        result = [value for key, value in sorted(result.items()) if key != "seconds"]
    if isinstance(result, tuple | list):
        return [part for value in result for part in flat(value)]
    return [np.asarray(result)]


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind == "O" or b.dtype.kind == "O":
        return a.tolist() == b.tolist() or str(a) == str(b)
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def short(value: Any) -> str:
    if isinstance(value, np.ndarray) or sp.issparse(value):
        return f"{type(value).__name__}{value.shape}{value.dtype}"
    return repr(value)[:60]


@contextlib.contextmanager
def interrupt(seconds: float) -> Iterator[None]:
    """SIGINT after so many seconds, unless the block has ended."""
    armed = [True]

    def handle(*_: Any) -> None:
        if armed[0]:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        armed[0] = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
