"""Fuzzing as a program: ``python tests/fuzz/fuzzing.py api --seconds 3600 --seed 7``.

A fuzzer is a function ``case(rng)`` that makes one random call and raises `Finding` where the answer or the
error is not what latom promises. Case i of a seed draws from a generator of its own, so that it can be run
alone: ``--first i --cases 1``. `run` prints that line for each finding.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

FUZZERS = ("api", "checkpoints", "files", "cli")
MOST = 500  # findings that are printed
Case = Callable[[np.random.Generator], str]

# "<function>: <argument> must <constraint>; got <value>. <remedy>"
MESSAGE = re.compile(r"[\w.]+: .+? must .+?; got .*\. \S.*", re.DOTALL)


class Finding(AssertionError):
    """A call that breaks a promise."""


def check(true: object, what: str) -> None:
    """Raise a Finding unless something is true."""
    if not true:
        raise Finding(what)


def check_error(error: BaseException, kinds: tuple[type[BaseException], ...], prefix: str = "") -> None:
    """Raise a Finding unless an error is of these kinds, and its message of the one form and not too long."""
    text = str(error)
    if not isinstance(error, kinds) or not MESSAGE.fullmatch(text) or not text.startswith(prefix):
        raise Finding(f"{type(error).__name__}: {text[:300]}") from error
    check(len(text) < 1200, f"a message of {len(text)} characters: {text[:200]}")


def pick(rng: np.random.Generator, options):
    """One of a sequence, or of a dict's keys."""
    options = list(options)
    return options[int(rng.integers(len(options)))]


def run(
    name: str,
    case: Case,
    seed: int,
    first: int = 0,
    cases: int | None = None,
    seconds: float = np.inf,
    more: str = "",
) -> list[tuple[int, Exception]]:
    """Run cases until their number or the time is over; returns (index, error) of each finding."""
    found, kinds, end, i = [], {}, time.monotonic() + seconds, first
    while (cases is None or i < first + cases) and time.monotonic() < end:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kind = case(np.random.default_rng([seed, i]))
            kinds[kind] = kinds.get(kind, 0) + 1
        except Exception as error:
            found.append((i, error))
            again = f"python tests/fuzz/fuzzing.py {name}{more} --seed {seed} --first {i} --cases 1"
            if len(found) <= MOST:
                print(f"found by: {again}\n  {type(error).__name__}: {str(error)[:2000]}", flush=True)
        i += 1
    print(f"{name}: {i - first} cases of seed {seed}, {len(found)} findings; {dict(sorted(kinds.items()))}")
    return found


def hold(name: str, case: Case, seed: int, seconds: float = np.inf, cases: int | None = None) -> None:
    """Run a fuzzer inside a test."""
    found = run(name, case, seed, cases=cases, seconds=seconds)
    assert not found, f"{len(found)} findings, the first: case {found[0][0]} of seed {seed}: {found[0][1]}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fuzzer", choices=FUZZERS)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cases", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--calls", help="of the API, separated by commas; all by default")
    parser.add_argument("--interrupts", action="store_true", help="interrupt calls of the API by signals")
    options = parser.parse_args()
    faulthandler.enable()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    seed = options.seed if options.seed is not None else int(time.time())
    with contextlib.suppress(ImportError):
        importlib.import_module("torch")  # where it is loaded, some rows are tensors
    fuzzer = importlib.import_module(f"fuzz_{options.fuzzer}")
    more = f" --calls {options.calls}" if options.calls else ""
    if options.fuzzer == "api":
        fuzzer.INTERRUPTS = options.interrupts
        fuzzer.NAMES = options.calls.split(",") if options.calls else fuzzer.NAMES
    found = run(options.fuzzer, fuzzer.case, seed, options.first, options.cases, options.seconds, more)
    if options.cases == 1 and found:
        traceback.print_exception(found[0][1])
    return bool(found)


if __name__ == "__main__":
    sys.modules["fuzzing"] = sys.modules["__main__"]  # fuzzers import it, and its Finding is to be one class
    sys.exit(main())
