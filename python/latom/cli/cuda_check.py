"""``python -m latom cuda-check``: what a GPU gives, held to the CPU, and two times. Without a GPU it says so.

One run takes under eight minutes on a GPU: bits of top-k on hostile data and of everything else that runs
there, the error of the product's sums as a part of what the proof in csrc/cuda/pack.cuh allows, and the times
of top-k beside torch's, where torch is, and of k-means beside the CPU's, dense and on CSR.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

import latom
from latom._base.backend import cuda_module
from latom._base.device import Place, place_of
from latom._base.device_select import product_library

SHAPES = ((64, 768, 4096, 32), (33, 96, 40000, 20), (16, 4096, 2000, 64), (300, 3, 500, 7), (8, 1, 100, 100))
DEPTHS = (64, 768, 4096)
FAMILIES = ((20000, 768, 1024), (3000, 20, 60), (60, 9, 6))
KMEANS = (200_000, 384, 1024)
CSR = ((20000, 30000, 5000), (60, 40, 9))  # the latter for a quick check
CSR_TIMES = ((300_000, 40_000, 1000), (300_000, 40_000, 10_000))
TIMES = ((131072, 768, 16384, 32), (16384, 768, 131072, 32))


def run_check(path: Path | None, quick: bool) -> int:
    """Run all parts, print a table, and write JSON where a path is given; the exit status."""
    module = cuda_module()
    if module is None:
        print("cuda-check: this latom was built without CUDA: build it with -C cmake.define.LATOM_CUDA=ON.")
        return 1
    count, reason = module.devices()
    if not count:
        print(f"cuda-check: CUDA finds no GPU here: {reason}.")
        return 1
    place = place_of("cuda-check", "cuda")
    assert place is not None
    report: dict[str, Any] = {"emulated": module.emulated, "product": product_library(module) or "plain"}
    wrong = 0
    for name, value, fine in _parts(module, place, quick):
        report[name] = value
        wrong += not fine
        print(f"{'ok   ' if fine else 'WRONG'} {name:<58} {value}", flush=True)
    if path is not None:
        path.write_text(json.dumps(report, indent=1))
    print(f"cuda-check: {'all parts agree with the CPU' if not wrong else f'{wrong} parts are wrong'}.")
    return int(wrong > 0)


def _parts(module: ModuleType, place: Place, quick: bool) -> Iterator[tuple[str, Any, bool]]:
    """(name, value, whether it is as it must be) of each part."""
    rng = np.random.default_rng(0)
    for n, d, m, k in SHAPES[-2:] if quick else SHAPES:
        for kind, X, W in _data(rng, n, d, m):
            yield _bits(f"{kind} n={n} d={d} m={m} k={k}", X, W, k)
    for n, d, m in FAMILIES[-1:] if quick else FAMILIES:
        X, W = rng.standard_normal((n, d), np.float32), rng.standard_normal((m, d), np.float32)
        for name, call in _calls(X, W):
            yield _same(f"{name} n={n} d={d} m={m}", call)
    for n, d, m in CSR[-1:] if quick else CSR:
        rows = _documents(rng, n, d)
        for name, call in _csr_calls(rows, m):
            yield _same(f"{name} of CSR n={n} d={d} m={m}", call)
    for depth in DEPTHS[:1] if quick else DEPTHS:
        part = max(_sum_error(module, place, rng, depth, kind) for kind in range(5))
        yield f"largest error of sums at d={depth}, of what is allowed", round(part, 4), part < 1
    if not quick:
        for n, d, m, k in TIMES:
            yield from _times(place, rng, n, d, m, k)
        n, d, m = KMEANS
        yield from _kmeans_times(latom.KMeans, "k-means", rng.standard_normal((n, d), np.float32), m)
        for n, d, m in CSR_TIMES:
            rows = _documents(rng, n, d)
            yield from _kmeans_times(latom.SphericalKMeans, "spherical k-means of CSR", rows, m)


def _calls(X: Any, W: Any) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """What runs on a GPU beside top-k: a name, and a call for a device that returns arrays."""
    k, bar = min(8, len(W)), float(np.sqrt(X.shape[1])) * 2
    values, indices = latom.topk(X, W, k)
    start = X[: len(W)] + 0
    yield "above", lambda device: _parts_of(latom.above(X, W, bar, device=device))
    yield "above cosine", lambda device: _parts_of(latom.above(X, W, 0.1, metric="cosine", device=device))
    yield "encode", lambda device: _parts_of(latom.encode(X, W, k, b_pre=W[0], device=device))
    yield "decode", lambda device: (latom.decode((values, indices), W, b_pre=W[0], device=device),)
    yield "seeding", lambda device: latom.kmeans_plusplus(X, len(W) // 2, random_state=0, device=device)
    yield "index", lambda device: latom.neighbors.DenseIndex(X).search(W, k, device=device)
    for metric in ("cosine", "euclidean"):
        yield f"assign {metric}", functools.partial(_assigned, X, W, metric)
    for kind in (latom.SphericalKMeans, latom.KMeans):
        yield kind.__name__, functools.partial(_fitted, kind, X, start)


def _parts_of(matrix: Any) -> tuple[Any, ...]:
    return matrix.indptr, matrix.indices, matrix.data


def _assigned(X: Any, W: Any, metric: str, device: str) -> Any:
    return latom.assign(X, W, metric=metric, device=device)


def _fitted(kind: Any, X: Any, start: Any, device: str) -> tuple[Any, ...]:
    model = kind(start.shape[0], init=start, max_iter=5, tol=0, device=device).fit(X)
    centers = model.cluster_centers_
    parts = _parts_of(centers) if sp.issparse(centers) else (centers,)
    return model.labels_, *parts, np.array([model.inertia_])


def _same(name: str, call: Callable[[str], Any]) -> tuple[str, str, bool]:
    differ = 0
    for there, here in zip(call("cuda"), call("cpu"), strict=True):
        differ += there.size + 1 if there.shape != here.shape else int((there != here).sum())
    return name, f"{differ} differ", differ == 0


def _documents(rng: np.random.Generator, n: int, d: int) -> Any:
    """Rows in CSR whose terms are as unevenly used as words: some 50 of each, with weights by chance."""
    size = rng.integers(1, min(100, d // 2), n)
    column = (d ** rng.random(size.sum())).astype(np.int64) - 1
    row = np.repeat(np.arange(n), size)
    value = rng.exponential(size=len(row)).astype(np.float32) + np.float32(0.1)
    return sp.coo_array((value, (row, column)), shape=(n, d)).tocsr()


def _csr_calls(X: Any, m: int) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """As :func:`_calls`, for rows in CSR."""
    start = X[:m]
    for metric in ("cosine", "euclidean"):
        yield f"assign {metric}", functools.partial(_assigned, X, start, metric)
    for kind in (latom.SphericalKMeans, latom.KMeans):
        yield kind.__name__, functools.partial(_fitted, kind, X, start)


def _kmeans_times(kind: Any, name: str, X: Any, m: int) -> Iterator[tuple[str, Any, bool]]:
    took = {}
    for device in ("cuda", "cpu"):
        start = time.perf_counter()
        kind(m, init=X[:m], max_iter=5, tol=0, device=device).fit(X)
        took[device] = time.perf_counter() - start
    name = f"{name} n={X.shape[0]} d={X.shape[1]} m={m}, 5 iterations: "
    yield name + "seconds on the GPU", round(took["cuda"], 3), True
    yield name + "times as fast as the CPU", round(took["cpu"] / took["cuda"], 2), True


def _data(rng: np.random.Generator, n: int, d: int, m: int) -> Iterator[tuple[str, Any, Any]]:
    for dtype in (np.float32, np.float64):
        X, W = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
        W[m // 2 : m // 2 + m // 4] = W[: m // 4]
        yield f"{np.dtype(dtype).name} with ties", X, W
    x = X[0].astype(np.float64)
    W = W + np.outer(rng.normal(0, 0.4, m) - W @ x, x / (x @ x))
    yield "scores far below the lengths", np.repeat(X[:1], n, axis=0).astype(np.float32), W.astype(np.float32)
    yield "all equal", np.ones((min(n, 4), d), np.float32), np.ones((m, d), np.float32)


def _bits(name: str, X: Any, W: Any, k: int) -> tuple[str, str, bool]:
    values, indices, stats = latom.topk(X, W, k, device="cuda", return_stats=True)
    wanted, places = latom.topk(X, W, k)
    differ = int((values != wanted).sum() + (indices != places).sum())
    return name, f"{differ} differ, {stats['scored'] / len(X):.1f} scored per row", differ == 0


def _sum_error(module: ModuleType, place: Place, rng: np.random.Generator, depth: int, kind: int) -> float:
    """The largest error of a product's float16 scores, less their own rounding, as a part of gamma |x||w|."""
    x, w = rng.standard_normal((64, depth)), rng.standard_normal((128, depth))
    if kind == 1:
        x, w = x**3, w**3
    if kind == 2:  # one term dwarfs the others
        x[:, 0] *= 1024
        w[:, 0] *= -4
    if kind == 3:  # sums that cutting would drive one way
        x, w = np.abs(x), np.abs(w)
    if kind == 4:  # sums that cancel
        x[:, depth // 2 :] = -x[:, : depth // 2]
        w[:, depth // 2 :] = w[:, : depth // 2] * (1 + 2.0**-9)
    halves, half_atoms = _unit_scaled(x), _unit_scaled(w)
    scores = _product(module, place, halves, half_atoms)
    x, w = halves.astype(np.float64), half_atoms.astype(np.float64)
    lengths = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(w, axis=1)
    own = np.abs(scores) * 2.0**-10 + 2.0**-24
    excess = np.maximum(np.abs(scores - x @ w.T) - own, 0)
    return float((excess / ((depth + 8) * 2.0**-22 * lengths)).max())


def _unit_scaled(rows: NDArray[Any]) -> NDArray[np.float16]:
    """Rows of lengths in [64, 128), as the packing makes them."""
    _, exponent = np.frexp(np.linalg.norm(rows, axis=1))
    scaled: NDArray[np.float16] = np.ldexp(rows, 7 - exponent[:, None]).astype(np.float16)
    return scaled


def _product(module: ModuleType, place: Place, x: NDArray[Any], w: NDArray[Any]) -> NDArray[np.float64]:
    rows, atoms = place.upload(x.view(np.uint16)), place.upload(w.view(np.uint16))
    made = place.upload(np.zeros((len(x), len(w)), np.uint16))
    module.product(
        *(rows.memory, atoms.memory, made.memory, len(x), len(w), x.shape[1]),
        *(product_library(module), place.ordinal, place.stream),
    )
    return made.to_numpy().view(np.float16).astype(np.float64)


def _times(
    place: Place, rng: np.random.Generator, n: int, d: int, m: int, k: int
) -> Iterator[tuple[str, Any, bool]]:
    torch = sys.modules.get("torch") or _import_torch()
    if torch is None or not torch.cuda.is_available():
        return
    X = torch.from_numpy(rng.standard_normal((n, d), np.float32)).cuda()
    W = torch.from_numpy(rng.standard_normal((m, d), np.float32)).cuda()
    own = _seconds(torch, lambda: latom.topk(X, W, k))
    name = f"n={n} d={d} m={m} k={k}: "
    yield name + "ms of latom", round(1e3 * own, 2), True
    for kind in (torch.float32, torch.bfloat16):
        other = _seconds(torch, functools.partial(_torch_topk, torch, X.to(kind), W.to(kind), k))
        yield f"{name}times as fast as torch {kind}".replace("torch.", ""), round(other / own, 2), True


def _torch_topk(torch: Any, X: Any, W: Any, k: int) -> Any:
    """What has to be beaten: products and their k best, by chunks of rows that fit."""
    return [torch.topk(part @ W.T, k) for part in X.split(8192)]


def _import_torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch


def _seconds(torch: Any, work: Callable[[], Any], repeats: int = 5) -> float:
    """Median of several calls, after two that are not counted."""
    times = []
    for attempt in range(repeats + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if attempt >= 2:
            times.append(time.perf_counter() - start)
    return float(np.median(times))
