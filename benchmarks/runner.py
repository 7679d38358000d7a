"""Runs one library on one problem in a process of its own.

A fresh process per measurement makes peak memory mean something, keeps the thread pools and OpenMP
runtimes of the libraries apart, and lets a slow or greedy fit be ended without ending the session.
The process imports its library, loads and converts the problem, then fits on request: `Worker.fit`
returns when the fit has returned, so timing that call (as pytest-benchmark does) times the fit and
about 0.1 ms of pipe. `Worker.output` then hands over the answer, which is not timed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from machine import environment


class NotMeasured(Exception):
    """A library gave no time; the message says why and ends in the report."""


@dataclass(frozen=True)
class Measured:
    """One fit, as its own process saw it."""

    seconds: float
    n_iter: int
    memory: int  # peak bytes so far beyond library and problem as loaded


def available_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int:
    """Bytes of memory that are free for a new process; 0 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024


class Worker:
    """A process that holds one library and one problem. Use as a context manager.

    Parameters
    ----------
    task, library : str
        Keys of `tasks.TASKS` and of its `peers`.
    problem : Path
        Folder written by `data.save`.
    threads : int
        The process is bound to so many CPUs, and the library is told the same.
    variables : mapping
        Environment variables that the library alone is to have, set before anything is imported. It
        inherits none of this process but those that `machine.py` names.
    """

    def __init__(
        self,
        task: str,
        library: str,
        problem: Path,
        threads: int,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="latom-bench-")
        self._log = Path(self._folder.name, "log")
        command = [sys.executable, str(Path(__file__).resolve()), task, library]
        command += [str(problem), str(threads)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(threads, variables or {}),
                text=True,
            )
        self.version = ""

    def __enter__(self) -> Worker:
        try:
            self.version = self._ask({"do": "prepare"}, 600.0)["version"]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def fit(self, n_iter: int, limit: float) -> Measured:
        """Fit for `n_iter` iterations; raises NotMeasured after `limit` seconds or a failure."""
        answer = self._ask({"do": "fit", "n_iter": n_iter}, limit)
        return Measured(answer["seconds"], answer["n_iter"], answer["memory"])

    def output(self) -> np.ndarray:
        """What the last fit gave: the array that its task scores."""
        path = str(Path(self._folder.name, "output.npy"))
        self._ask({"do": "output", "path": path}, 600.0)
        output: np.ndarray = np.load(path)
        return output

    def _ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        overrun = threading.Event()

        def stop() -> None:
            overrun.set()
            self._process.kill()

        timer = threading.Timer(limit, stop)
        timer.start()
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if overrun.is_set():
            raise NotMeasured(f"over {limit:.0f} s")
        if not line:
            code = self._process.wait()
            tail = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise NotMeasured(f"process ended with code {code}: {' '.join(tail)}"[:200])
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NotMeasured(answer["error"][:200])
        return answer


def _status(field: str) -> int:
    """Bytes of a field of /proc/self/status, else of the peak that getrusage knows."""
    # Not ru_maxrss where there is a choice: on Linux it starts at the size of the parent.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # imported from a build folder
        return str(getattr(sys.modules.get(distribution), "__version__", "not installed"))


def _confine(threads: int) -> None:
    """Bind to `threads` CPUs and leave the machine a tenth of its free memory."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if (memory := available_memory()) > 0:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory // 10 * 9, resource.RLIM_INFINITY))


def _serve(task: str, library: str, folder: str, threads: int) -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the log
    _confine(threads)
    try:
        from data import load
        from tasks import TASKS

        peer = TASKS[task].peers[library]
        peer.load()
        version = _version(peer.distribution)
        problem = load(Path(folder))
        loaded = _status("VmRSS")
        fit = peer.prepare(problem, threads)
        answer: Any = None
        for line in sys.stdin:
            request = json.loads(line)
            if request["do"] == "prepare":
                reply: dict[str, Any] = {"version": version}
            elif request["do"] == "output":
                np.save(request["path"], answer.output())
                reply = {}
            else:
                answer = None  # what the fit before gave is not to count as memory of this one
                start = time.perf_counter()
                answer = fit(request["n_iter"])
                seconds = time.perf_counter() - start
                memory = max(0, _status("VmHWM") - loaded)
                reply = {"seconds": seconds, "n_iter": int(answer.n_iter), "memory": memory}
            print(json.dumps(reply), file=replies, flush=True)
    except Exception as error:
        import traceback

        traceback.print_exc()
        kind = "not installed" if isinstance(error, ImportError) else type(error).__name__
        reason = f"{kind}: {error}".splitlines()[0]
        print(json.dumps({"error": reason}), file=replies, flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
