"""threadpoolctl finds latom, limits it, and gives back what there was before."""

from __future__ import annotations

import _ctypes
import ctypes
import inspect
import shutil
import subprocess
import sys
import threading
from importlib.machinery import SourceFileLoader

import core
import numpy as np
import pytest
import threadpoolctl
from threadpoolctl import threadpool_info, threadpool_limits

import latom


def now() -> int:
    """What n_threads=None means."""
    return latom.config()["n_threads"]


def infos() -> list[dict]:
    return [info for info in threadpool_info() if info["internal_api"] == "latom"]


@pytest.fixture(autouse=True)
def no_limit_is_left():
    free = core.resolve_threads(1000)
    assert free == 1000
    yield
    assert core.resolve_threads(1000) == free, "the test left a limit"


def test_threadpoolctl_lists_latom():
    (info,) = infos()
    assert info["user_api"] == info["internal_api"] == "latom"
    assert info["filepath"] == core._core.__file__
    assert info["version"] == latom.__version__
    assert info["num_threads"] == now()


def test_a_limit_holds_in_its_block_and_is_lifted_after():
    before = now()
    with threadpool_limits(1):
        assert now() == 1
        assert core.resolve_threads(7) == 1  # also for who asks for more
        assert infos()[0]["num_threads"] == 1
    assert now() == before
    assert core.resolve_threads(before + 7) == before + 7


def test_limits_nest():
    before = now()
    with threadpool_limits(3):
        with threadpool_limits(1):
            with threadpool_limits(2):
                assert core.resolve_threads(5) == 2
            assert core.resolve_threads(5) == 1
        assert core.resolve_threads(5) == 3
        assert now() == min(before, 3)
    assert core.resolve_threads(5) == 5


def test_a_limit_of_as_many_threads_as_there_are_is_a_limit():
    """It looks like what is restored when there was none."""
    before = now()
    with threadpool_limits(before):
        assert core.resolve_threads(before + 7) == before
        with threadpool_limits(before):
            pass
        assert core.resolve_threads(before + 7) == before


def test_a_limit_is_no_wish():
    before = now()
    with threadpool_limits(before + 5):
        assert now() == before
        assert infos()[0]["num_threads"] == before + 5


@pytest.mark.parametrize("useless", [0, -1, -(2**40)])
def test_numbers_below_one_change_nothing(useless):
    before = now()
    with threadpool_limits(useless, user_api="latom"):
        assert now() == before
        assert core.resolve_threads(before + 7) == before + 7
    with threadpool_limits(1, user_api="latom"):
        with threadpool_limits(useless, user_api="latom"):
            assert now() == 1
        assert now() == 1


def test_numbers_beyond_an_int_of_c_limit_nothing():
    before = now()
    for many in (2**31, 2**32, 2**40):  # a truncated 2^32 would lift a limit, or set one of 0
        with threadpool_limits(1, user_api="latom"):
            with threadpool_limits(many, user_api="latom"):
                assert now() == before
                assert core.resolve_threads(before + 7) == before + 7
            assert now() == 1


def test_limits_by_name():
    before = now()
    with threadpool_limits(1, user_api="blas"):
        assert now() == before
    with threadpool_limits({"latom": np.int64(1)}):
        assert now() == 1
    with threadpool_limits([{**info, "num_threads": 1} for info in infos()]):
        assert now() == 1
    with threadpool_limits({core._core.__file__: 1}):
        assert now() == 1
    with pytest.raises(TypeError), threadpool_limits({"latom": 1.5}):
        pass


def test_the_limit_in_force_is_that_of_the_process():
    with threadpool_limits(1, user_api="latom"):
        seen = []
        thread = threading.Thread(target=lambda: seen.append(core.resolve_threads(4)))
        thread.start()
        thread.join()
    assert seen == [1]


def test_a_callback_sees_the_limit_and_may_change_it(rng):
    X = rng.random((300, 5))
    seen = []

    def callback(state):
        seen.append(now())
        limiter.unregister()

    limiter = threadpool_limits(1, user_api="latom")
    free = latom.KMeans(20, init=X[:20], tol=0, max_iter=4, n_threads=3).fit(X)
    limited = latom.KMeans(20, init=X[:20], tol=0, max_iter=4, n_threads=3, callback=callback).fit(X)
    assert seen == [1, *[now()] * 3]
    assert limited.cluster_centers_.tobytes() == free.cluster_centers_.tobytes()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_a_limit_of_one_starts_no_thread():
    code = """
import os
import numpy as np, latom, threadpoolctl
X = np.random.default_rng(0).random((2000, 64), np.float32)
def threads():
    latom.topk(X, X, 5, n_threads=6)
    return len(os.listdir("/proc/self/task"))
before = len(os.listdir("/proc/self/task"))
with threadpoolctl.threadpool_limits(1):
    print(threads() - before)
print(threads() - before)
"""
    limited, free = map(int, output(code).split())
    assert limited == 0
    assert free >= 5


# ---- registration

CHECK = """
import latom
import threadpoolctl
free = latom.config()["n_threads"]
found = [i for i in threadpoolctl.threadpool_info() if i["internal_api"] == "latom"]
assert len(found) == 1, found
with threadpoolctl.threadpool_limits(1):
    assert latom.config()["n_threads"] == 1
assert latom.config()["n_threads"] == free
"""


def output(code: str) -> str:
    """What a process of its own prints that runs the code."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "first",
    [
        "import latom; import threadpoolctl",
        "import threadpoolctl; import latom",
        "import threadpoolctl; threadpoolctl.threadpool_info(); import latom",
        "import latom; latom.KMeans",
        "import sklearn.cluster; import latom",
        "import latom; import importlib.util; importlib.util.find_spec('threadpoolctl')",
        "import importlib, latom, threadpoolctl; importlib.reload(threadpoolctl)",
    ],
)
def test_latom_is_known_in_whatever_order_modules_are_imported(first):
    output(first + CHECK)


def test_latom_is_imported_where_there_is_no_threadpoolctl():
    code = "import sys; sys.modules['threadpoolctl'] = None; import latom; print(latom.config()['n_threads'])"
    assert int(output(code)) >= 1
    old = "import sys, types; sys.modules['threadpoolctl'] = types.ModuleType('threadpoolctl'); import latom"
    output(old)  # before 3.2 it has no register


def test_threadpoolctl_keeps_its_own_loader():
    """Which inspect, pickle and others ask for its source."""
    code = """
import latom, threadpoolctl, inspect, runpy
print(type(threadpoolctl.__spec__.loader).__name__, type(threadpoolctl.__loader__).__name__)
assert "def register" in inspect.getsource(threadpoolctl)
"""
    assert output(code).split() == [SourceFileLoader.__name__] * 2
    assert "def register" in inspect.getsource(threadpoolctl)
    tool = (
        "import latom, runpy, sys; sys.argv[1:] = []; runpy.run_module('threadpoolctl', run_name='__main__')"
    )
    output(tool)


def test_extensions_of_others_with_the_same_name_are_left_alone(tmp_path):
    other = shutil.copy(_ctypes.__file__, tmp_path / "_core.other.so")
    ctypes.CDLL(str(other))
    (info,) = infos()
    assert info["filepath"] == core._core.__file__
