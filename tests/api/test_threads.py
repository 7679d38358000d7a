"""Many Python threads at once: the public API on shared inputs, and objects of the core that threads share.

Every result has the bits that it has alone. With a free-threaded Python this is the test of what
docs/decisions/0005-free-threading.md claims; with the lock, of everything that runs while it is released.
"""

from __future__ import annotations

import faulthandler
import random
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from typing import Any

import core
import numpy as np
import pytest
import scipy.sparse as sp
from oracle import corpus
from threadpoolctl import threadpool_limits

import latom
from latom._base.arrays import to_core
from latom.encode import topk_encoder
from latom.encode.atoms import Atoms, encoder_atoms

THREADS = 8
ASKED = (1, 2, 3, 5, None)


@pytest.fixture(autouse=True)
def hurry() -> Iterator[None]:
    """Threads change places often; a deadlock ends the process, even one with the lock held."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    sys.setswitchinterval(before)


def together(run: Callable[[int], None], count: int = THREADS) -> None:
    """run(0) ... run(count - 1), each in a thread of its own, all started at the same moment."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def guarded(number: int) -> None:
        barrier.wait()
        try:
            run(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def bits(value: Any) -> tuple[bytes, ...]:
    """The bytes of arrays, CSR and tuples of them."""
    if isinstance(value, tuple):
        return sum(map(bits, value), ())
    if sp.issparse(value):
        return bits((value.indptr, value.indices, value.data))
    return (np.ascontiguousarray(value).tobytes(),)


@pytest.fixture(scope="module")
def calls() -> dict[str, Callable[[int | None], Any]]:
    """Functions of n_threads alone; all of them read the same few arrays."""
    rng = np.random.default_rng(3)
    X = corpus(rng, 500, 120, 12)
    twice = corpus(rng, 300, 80, 6, dtype=np.float64)
    D = rng.standard_normal((400, 32)).astype(np.float32)
    half = D.astype(np.float16)
    W = rng.standard_normal((2300, 32)).astype(np.float32)  # enough atoms for the screen in 8 bits
    b = rng.standard_normal(2300)
    codes = latom.encode(D, W, 8)
    weights = rng.random(500) + 0.1
    small = rng.random((20, 12))
    inits = rng.random((6, 20, 3)), rng.random((6, 3, 12))
    fitted = latom.SphericalKMeans(9, random_state=0).fit(X)
    encoder = latom.TopKEncoder(W, 8, b_enc=b)
    nmf = latom.NMF(4, init="random", random_state=0, max_iter=5, tol=0).fit(twice)

    def kmeans(kind: Any, rows: Any, threads: int | None, **more: Any) -> Any:
        km = kind(9, random_state=0, max_iter=8, tol=0, n_threads=threads, **more).fit(rows)
        return km.cluster_centers_, km.labels_, km.history_["objective"]

    def factors(kind: Any, rows: Any, threads: int | None, **more: Any) -> Any:
        found = kind(4, init="random", random_state=0, max_iter=5, tol=0, n_threads=threads, **more)
        return found.fit_transform(rows), found.components_

    def pairs(kind: Any, threads: int | None) -> Any:
        found = kind(4, random_state=0, max_iter=5, n_threads=threads).fit(twice)
        return found.user_factors, found.item_factors

    return {
        "assign": lambda t: latom.assign(X, X[:40], n_threads=t),
        "assign dense": lambda t: latom.assign(D, W[:70], metric="euclidean", n_threads=t),
        "topk": lambda t: latom.topk(D, W, 7, bias=b, n_threads=t),
        "topk cosine": lambda t: latom.topk(D, W, 7, metric="cosine", n_threads=t),
        "topk of halves": lambda t: latom.topk(half, W, 7, activation="abs", n_threads=t),
        "above": lambda t: latom.above(D, W, 15.0, n_threads=t),
        "encode": lambda t: latom.encode(D, W, 8, b_enc=b, b_pre=D[0], n_threads=t),
        "decode": lambda t: latom.decode(codes, W, n_threads=t),
        "kmeans_plusplus": lambda t: latom.kmeans_plusplus(X, 20, random_state=1, n_threads=t),
        "kmeans_plusplus dense": lambda t: latom.kmeans_plusplus(D, 20, random_state=1, n_threads=t),
        "afkmc2": lambda t: latom.afkmc2(X, 20, random_state=1, n_threads=t),
        "kmeans_parallel": lambda t: latom.kmeans_parallel(D, 20, random_state=1, n_threads=t),
        "coreset": lambda t: latom.coreset(X, 50, sample_weight=weights, random_state=1, n_threads=t),
        "weighted_sample": lambda t: latom.weighted_sample(weights, 60, random_state=1, n_threads=t),
        "nmf_batch": lambda t: latom.nmf_batch(small, 3, inits, max_iter=20, n_threads=t),
        "SphericalKMeans": lambda t: kmeans(latom.SphericalKMeans, X, t),
        "KMeans": lambda t: kmeans(latom.KMeans, D, t),
        "MiniBatchKMeans": lambda t: kmeans(latom.MiniBatchKMeans, D, t, batch_size=64),
        "NMF": lambda t: factors(latom.NMF, twice, t),
        "NMF Kullback-Leibler": lambda t: factors(
            latom.NMF, twice, t, solver="mu", beta_loss="kullback-leibler"
        ),
        "MiniBatchNMF": lambda t: factors(latom.MiniBatchNMF, twice, t, batch_size=64),
        "SemiNMF": lambda t: factors(latom.SemiNMF, D, t),
        "PointwiseFactorization": lambda t: pairs(latom.PointwiseFactorization, t),
        "IPSFactorization": lambda t: pairs(latom.IPSFactorization, t),
        "one SphericalKMeans": lambda t: (fitted.predict(X), fitted.score(X)),
        "one TopKEncoder": lambda t: encoder.transform(D),
        "one NMF": lambda t: nmf.transform(twice),
    }


def test_results_are_those_of_a_call_alone(calls):
    """Another thread changes the limit meanwhile."""
    expected = {name: bits(run(1)) for name, run in calls.items()}
    done = threading.Event()

    def change_limits() -> None:
        while not done.is_set():
            for limit in (1, 2, 3):
                with threadpool_limits(limit, user_api="latom"):
                    done.wait(0.002)

    def work(number: int) -> None:
        order = list(calls) * 4
        random.Random(number).shuffle(order)
        for turn, name in enumerate(order):
            threads = ASKED[(turn + number) % len(ASKED)]
            assert bits(calls[name](threads)) == expected[name], f"{name} with {threads} threads"

    changing = threading.Thread(target=change_limits)
    changing.start()
    try:
        together(work)
    finally:
        done.set()
        changing.join()
    assert core.resolve_threads(1000) == 1000


def test_an_encoder_is_packed_by_whoever_comes_first(rng):
    W, X = rng.standard_normal((2300, 24)), rng.standard_normal((300, 24))
    singles = W.astype(np.float32), X.astype(np.float32)
    expected = [bits(latom.encode(x, w, 6)) for w, x in (singles, (singles[0], X))]
    for _ in range(5):
        encoder = latom.TopKEncoder(singles[0], 6, n_threads=2)

        def transform(number: int, encoder=encoder) -> None:
            kind = number % 2  # float32 and float64 rows want an index each
            assert bits(encoder.transform((singles[1], X)[kind])) == expected[kind]

        together(transform)


def test_an_encoder_takes_the_atoms_of_a_thread_that_was_faster(rng, monkeypatch):
    """Not its own, so that atoms are packed once."""
    encoder, made = latom.TopKEncoder(rng.random((5, 3)), 2), []

    def slowly(*arguments: Any) -> Any:
        if not made:  # meanwhile another prepares them
            made.append(None)
            made.append(encoder._prepared("another"))
        return encoder_atoms(*arguments)

    monkeypatch.setattr(topk_encoder, "encoder_atoms", slowly)
    assert encoder._prepared("one") is made[1]
    assert encoder._prepared("later") is made[1]


def test_atoms_have_one_index_for_all_threads(rng):
    """Also for those that make one at the same time."""
    for _ in range(50):
        atoms, found = Atoms(rng.random((3, 2)), "dot"), [None] * THREADS

        def ask(number: int, atoms=atoms, found=found) -> None:
            found[number] = atoms.index(core.context(), np.float64)

        together(ask)
        assert all(index is found[0] for index in found)


def test_rows_are_measured_by_whoever_comes_first(rng):
    X = sp.csr_array(np.maximum(rng.random((20_000, 300)) - 0.9, 0))
    F, W = rng.random((300, 5)), rng.random((20_000, 5))
    whole = core.rows(to_core(X))
    made = core.context("test", 2, 7)
    runs = [
        lambda rows: core._core.multiply(made, rows, F),
        lambda rows: core._core.multiply_transposed(made, rows, W),
        lambda rows: core._core.kmeans_plusplus(made, rows, 9, None, "cosine")["indices"],
        lambda rows: rows.subset(made, np.arange(0, 20_000, 3)).norm2(made),
    ]
    expected = [bits(run(whole)) for run in runs]
    for _ in range(10):
        rows = core.rows(to_core(X))
        found = [()] * THREADS

        def work(number: int, rows=rows, found=found) -> None:
            found[number] = bits(runs[number % len(runs)](rows))

        together(work)
        assert found == expected * (THREADS // len(runs))


def test_threads_that_share_a_lloyd_take_turns(rng):
    """A step that is made twice changes nothing, so whoever makes the steps, they count the same changes."""
    X = to_core(corpus(rng, 3000, 200, 20))
    start = to_core(corpus(rng, 40, 200, 20))

    def ready() -> core.Lloyd:
        lloyd = core.Lloyd(X, None, "cosine", 2)
        lloyd.set_centers(start, True)
        return lloyd

    def steps(lloyd: core.Lloyd) -> tuple[int, int]:
        labels = atoms = 0
        for _ in range(200):
            changed, moved = lloyd.assign()[0], lloyd.update()[0]
            labels, atoms = labels + changed, atoms + moved
            if changed == moved == 0:  # or another thread has just made the same steps
                return labels, atoms
        raise AssertionError("this does not come to an end")

    alone, shared = ready(), ready()
    expected, found = steps(alone), [(0, 0)] * THREADS

    def work(number: int) -> None:
        if number % 4 == 3:
            for _ in range(50):
                assert len(shared.labels()) == len(shared.scores()) == 3000
                assert len(shared.centers()[0]) == 41
        found[number] = steps(shared)

    together(work)
    assert tuple(np.sum([*found, steps(shared)], axis=0)) == expected
    assert bits((shared.labels(), shared.scores())) == bits((alone.labels(), alone.scores()))
    assert bits(shared.centers()) == bits(alone.centers())


def test_threads_that_share_a_mini_batch_take_turns(rng):
    """All pass the same batch, so any order of their steps is the same."""
    X, made = rng.random((4000, 16)), core.context("test", 2)
    batch, start, counts = core.rows(X), core.rows(X[:30]), np.zeros(30)
    alone, shared = (core._core.MiniBatch(made, start, counts, "euclidean", False) for _ in range(2))
    expected = [alone.step(made, batch, None) for _ in range(5 * THREADS)]
    found: list[Any] = []

    def work(number: int) -> None:
        for _ in range(5):
            found.append(shared.step(made, batch, None))
            assert len(shared.labels()) == len(shared.scores()) == 4000
            assert shared.centers().shape == (30, 16)

    together(work)
    assert sorted(found) == sorted(expected)
    assert shared.counts().sum() == 4000 * 5 * THREADS
    assert bits(shared.centers()) == bits(alone.centers())


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has the lock")
def test_latom_leaves_the_lock_off():
    code = "import sys, latom; assert not sys._is_gil_enabled(); latom.KMeans; print(sys._is_gil_enabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
