"""Calls amid what a program does besides: it forks, takes signals, and ends while threads are at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX")

START = """
import faulthandler, os, resource, signal, sys, threading, time
import numpy as np, scipy.sparse as sp, latom
rng = np.random.default_rng(0)
def dense(n, d): return rng.standard_normal((n, d), dtype=np.float32)
"""


def run(script: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", START + script], capture_output=True, text=True, timeout=60, **options
    )


@pytest.mark.parametrize("work", [
    "latom.topk(X, W, k=8)",  # long: it looks for interrupts
    "latom.topk(X[:2], W[:100], k=3)",  # short: it takes the lock back at its end
    "latom.NMF(20, random_state=0, init='random', tol=0, max_iter=10_000).fit(abs(X[:2000]))",
])  # fmt: skip
def test_the_interpreter_ends_while_a_daemon_thread_is_in_a_call(work):
    done = run(f"""
X, W = dense(20_000, 200), dense(20_000, 200)
def work():
    while True: {work}
threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
""")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("delay", [0.005, 0.03])
def test_a_child_uses_the_encoder_that_another_thread_was_packing(delay):
    done = run(f"""
W, X = dense(20_000, 256), dense(64, 256)
enc = latom.TopKEncoder(W, k=8)
latom.topk(X[:2], W[:64], 3)
thread = threading.Thread(target=enc.transform, args=(X,)); thread.start()
time.sleep({delay})
pid = os.fork()
if pid == 0:
    faulthandler.dump_traceback_later(20, exit=True)
    codes = enc.transform(X[:10])
    os._exit(0 if (codes != latom.encode(X[:10], W, 8)).nnz == 0 else 3)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""")
    assert done.stdout == "0\n", done.stderr


@pytest.mark.parametrize("threads", [1, 3])
def test_a_child_that_a_signal_handler_forks_ends_the_call_it_is_amid(threads):
    """Alone it goes on; with helpers, who stay in the parent, it is told so, and may call again."""
    done = run(f"""
faulthandler.dump_traceback_later(40, exit=True)
W, X = dense(4000, 256), dense(40_000, 256)
pids = []
def handler(*_):
    if not pids: pids.append(os.fork())
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.03)
said = ""
try: found = latom.topk(X, W, 8, n_threads={threads})
except RuntimeError as error: said = str(error)
again = latom.topk(X[:300], W, 8, n_threads={threads})
if pids[0] == 0:
    told = said.startswith("topk: a call must end in the process that began it; got fork()")
    os._exit(0 if told == ({threads} > 1) and again[0].shape == (300, 8) else 3)
print(os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]), repr(said), (found[1][:300] == again[1]).all())
""")
    assert done.stdout == "0 '' True\n", done.stderr


def test_a_signal_handler_uses_the_encoder_that_is_being_packed():
    done = run("""
faulthandler.dump_traceback_later(30, exit=True)
W, X = dense(20_000, 256), dense(200, 256)
enc, calls = latom.TopKEncoder(W, k=8), []
def handler(*_):
    if (at := len(calls)) < 5:  # handlers interrupt handlers
        calls.append(None)
        calls[at] = enc.transform(X[:50])
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.01)
codes = enc.transform(X)
signal.setitimer(signal.ITIMER_REAL, 0)
wanted = latom.encode(X, W, 8)
print(len(calls) > 0, (codes != wanted).nnz, sum((c != wanted[:50]).nnz for c in calls))
""")
    assert done.stdout == "True 0 0\n", done.stderr


def test_a_signal_handler_is_told_of_a_step_that_is_amid():
    done = run("""
from latom import _core
X = dense(200_000, 64)
context = _core.Context("fit", 1)
lloyd = _core.Lloyd(context, _core.prepare(context, X), None, "euclidean")
lloyd.set_centers(_core.prepare(context, X[:3000]), False)
said = []
def handler(*_):
    try: lloyd.labels()
    except RuntimeError as error: said.append(str(error))
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
lloyd.assign()
print(said)
""")
    assert done.stdout == "['fit: called by a signal handler amid a call of the same']\n", done.stderr


@pytest.mark.parametrize(("prepare", "call"), [
    ("w = rng.random(10**6)", "latom.weighted_sample(w, 40_000_000, replacement=True)"),
    ("w = rng.random(10**7)", "latom.weighted_sample(w, 6_000_000)"),
    ("X = dense(30_000, 4)", "latom.coreset(X, 300_000_000)"),
    (
        "X = sp.random_array((50_000, 5000), density=0.01, format='csr', dtype=np.float32, rng=rng);"
        "km = latom.SphericalKMeans(1500, init='random', max_iter=1).fit(X[:3000])",
        "km.transform(X)",
    ),
    # Memory does not grow with trials.
    (
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))",
        "latom.kmeans_plusplus(dense(50, 6), 2, n_local_trials=2**31 - 1)",
    ),
    (
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))",
        "latom.afkmc2(dense(50, 6), 2, chain_length=2**31 - 1)",
    ),
])  # fmt: skip
def test_ctrl_c_stops_within_a_second(prepare, call):
    script = f"""
{prepare}
print("ready", flush=True)
try:
    {call}
    print("finished")
except KeyboardInterrupt:
    print("stopped", latom.assign(np.eye(3), np.eye(3))[0].tolist())
"""
    process = subprocess.Popen([sys.executable, "-c", START + script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    start = time.perf_counter()
    out, _ = process.communicate(timeout=60)
    assert out == "stopped [0, 1, 2]\n"
    assert time.perf_counter() - start < 1
