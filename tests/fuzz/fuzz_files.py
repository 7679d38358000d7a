"""Random damage to files that latom itself writes and reads: what was stored, or one form of error."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from fuzzing import check, check_error, pick
from mutations import changed_array, damaged

import latom

KINDS = (ValueError, TypeError, FileNotFoundError, IsADirectoryError, PermissionError, MemoryError)


def case(rng: np.random.Generator) -> str:
    folder = Path(tempfile.mkdtemp(prefix="latom-fuzz-"))
    try:
        name = pick(rng, FILES)
        load = FILES[name](rng, folder)
        how = _damage(rng, folder)
        try:
            result = load()
        except BaseException as error:
            check_error(error, KINDS)
            return f"{name}, {how}: refused"
        check(all(np.isfinite(part).all() for part in result), f"numbers of {name} that are not finite")
        return f"{name}, {how}: read"
    finally:
        shutil.rmtree(folder)


def _damage(rng: np.random.Generator, folder: Path) -> str:
    """Changes one of the files: its bytes, one of its arrays, or that it is there."""
    file = pick(rng, sorted(path for path in folder.rglob("*") if path.is_file()))
    how = pick(rng, ["bytes", "bytes", "array", "array", "gone"])
    if how == "gone":
        file.unlink()
    elif how == "array" and file.suffix == ".npy":
        np.save(file, changed_array(rng, np.load(file)))
    elif how == "array" and file.suffix == ".npz":
        with np.load(file) as archive:
            parts = {key: archive[key] for key in archive.files}
        key = pick(rng, parts)
        if parts[key].dtype.kind in "fiub":
            parts[key] = changed_array(rng, parts[key])
        elif rng.random() < 0.5:
            del parts[key]
        with file.open("wb") as stream:
            np.savez(stream, **parts)
    else:
        file.write_bytes(damaged(rng, file.read_bytes()))
    return how


def _rows(rng: np.random.Generator, n: int = 30, d: int = 5) -> np.ndarray:
    return rng.standard_normal((n, d)).astype(pick(rng, [np.float32, np.float64]))


def index(rng: np.random.Generator, folder: Path) -> Any:
    X = _rows(rng)
    cls = pick(rng, [latom.SparseIndex, latom.DenseIndex])
    made = cls(sp.csr_array(X) if cls is latom.SparseIndex else X, metric=pick(rng, ["dot", "euclidean"]))
    made.remove([3])
    made.save(folder / "index")
    mapped = bool(rng.random() < 0.5)

    def load() -> Any:
        values, indices = cls.load(folder / "index", mmap=mapped).search(X, 4)
        check((indices < 30).all() and (indices >= -1).all(), "indices")
        return (np.where(indices < 0, 0, values),)

    return load


def itda(rng: np.random.Generator, folder: Path) -> Any:
    X = _rows(rng)
    latom.ITDA(2, 0.1).fit(X).save(folder / "itda.npz")

    def load() -> Any:
        model = latom.ITDA.load(folder / "itda.npz")
        return model.components_, model.transform(X).data, model.partial_fit(X).components_

    return load


def training(rng: np.random.Generator, folder: Path) -> Any:
    X = _rows(rng)
    model = latom.SparseAutoencoder(4, 2, max_epochs=1, random_state=0, batch_size=10).fit(X)
    model.save_checkpoint(folder / "run.npz")

    def load() -> Any:
        found = latom.SparseAutoencoder.load_checkpoint(folder / "run.npz")
        return found.transform(X).data, found.set_params(max_epochs=2).resume(X).components_

    return load


class Stop(Exception):
    """Ends a fit, whose checkpoint stays."""


def stream(rng: np.random.Generator, folder: Path) -> Any:
    X = _rows(rng)
    rows: Any = sp.csr_array(X) if rng.random() < 0.5 else X
    source = latom.Stream(rows, block_rows=8, checkpoint=folder / "state.npz")

    def stop(state: Any) -> None:
        if state.iteration == 2:
            raise Stop

    options = {"init": X[:3], "tol": 0, "sparse_centers": bool(rng.random() < 0.5)}
    with contextlib.suppress(Stop):
        latom.KMeans(3, callback=stop, **options).fit(source)

    def load() -> Any:
        model = latom.KMeans(3, **options).fit(source)
        centers = model.cluster_centers_
        return model.labels_, centers.data if sp.issparse(centers) else centers, model.inertia_

    return load


def hierarchy(rng: np.random.Generator, folder: Path) -> Any:
    X = _rows(rng)
    rows: Any = sp.csr_array(X) if rng.random() < 0.5 else X
    options = {"n_resampling": 1, "random_state": 0, "checkpoint": folder / "state.npz"}
    seen, last = [], int(rng.integers(1, 4))

    def stop(state: Any) -> None:
        seen.append(state)
        if len(seen) > last:
            raise Stop

    with contextlib.suppress(Stop):
        latom.HierarchicalKMeans((5, 2), callback=stop, **options).fit(rows)

    def load() -> Any:
        model = latom.HierarchicalKMeans((5, 2), **options).fit(rows)
        centers = [c.data if sp.issparse(c) else c for c in model.cluster_centers_]
        return *centers, *model.labels_, model.scores_, model.transform(rows), model.history_["objective"]

    return load


def blocks(rng: np.random.Generator, folder: Path) -> Any:
    X = _rows(rng)
    if rng.random() < 0.5:
        np.save(folder / "a.npy", X)
    else:
        sp.save_npz(folder / "a.npz", sp.csr_array(X))

    def load() -> Any:
        model = latom.KMeans(2, init="random", n_init=1, random_state=0, max_iter=3)
        fitted = model.fit(
            latom.Stream(folder / pick(rng, ["a.npy", "a.npz"]) if rng.random() < 0.2 else folder)
        )
        return fitted.labels_, fitted.inertia_

    return load


FILES: dict[str, Callable[[np.random.Generator, Path], Any]] = {
    "index": index,
    "itda": itda,
    "training": training,
    "stream": stream,
    "hierarchy": hierarchy,
    "blocks": blocks,
}
