"""The folder of an index: its arrays as .npy files, and what they are in one .json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.checks import shown
from latom._base.rows import Rows

_VERSION = 1
_CSR = ("data", "indices", "indptr")


def save_index(path: Any, kind: str, metric: str, rows: Rows, removed: NDArray[np.bool_]) -> None:
    """Writes the folder; kind is the class of the index."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"removed": removed}
    parts |= {part: getattr(rows.array, part) for part in _CSR} if rows.sparse else {"rows": rows[:]}
    for part, array in parts.items():
        np.save(folder / f"{part}.npy", np.asarray(array), allow_pickle=False)
    about = {"class": kind, "version": _VERSION, "metric": metric, "shape": rows.shape}
    (folder / "index.json").write_text(json.dumps(about))


def load_index(function: str, path: Any, kind: str, sparse: bool, mmap: bool) -> tuple[str, Any, Any]:
    """The metric, the rows, and which of them have been removed; the numbers are checked by who uses them."""
    folder = Path(path)
    mode: Any = "r" if mmap else None

    def part(what: str) -> Any:
        return np.load(folder / f"{what}.npy", mmap_mode=mode, allow_pickle=False)

    try:
        about = json.loads((folder / "index.json").read_text())
        if (about["class"], about["version"]) != (kind, _VERSION):
            raise ValueError(f"{shown(about['class'])} of version {shown(about['version'])}")
        shape = int(about["shape"][0]), int(about["shape"][1])
        metric, removed = str(about["metric"]), np.asarray(part("removed"))
        if removed.dtype != bool or removed.shape != shape[:1]:
            raise ValueError(f"removed of {removed.dtype} and shape {removed.shape}")
        if sparse:
            rows: Any = sp.csr_array(shape, dtype=part("data").dtype)
            rows.data, rows.indices, rows.indptr = map(part, _CSR)
        else:
            rows = part("rows")
            if rows.shape != shape:
                raise ValueError(f"rows of shape {rows.shape}")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{function}: path must be readable; got {error.strerror} for {shown(str(path))}. "
            "Pass a folder that save has written."
        ) from error
    except Exception as error:  # a reader of files may raise anything
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise ValueError(
            f"{function}: path must hold a {kind} of version {_VERSION}; got {shown(str(path))}: {reason}. "
            "Load it with the class that saved it, or save it again."
        ) from error
    return metric, rows, removed
