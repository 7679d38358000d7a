"""A grown dictionary as a file: numpy's .npz, read without pickles as what may be broken or hostile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from latom._base.checks import shown

_FORMAT = "latom.ITDA 1"


def write(name: str, path: str | os.PathLike[str], parameters: dict[str, Any], state: dict[str, Any]) -> None:
    """Write what :func:`read` returns."""
    labels = {} if state["atom_labels_"] is None else _written_labels(name, state["atom_labels_"])
    config = {
        "format": _FORMAT,
        "parameters": parameters,
        "seen": state["_seen"],
        "labeled": state["_labeled"],
    }
    text = json.dumps(config, default=lambda value: value.item())
    np.savez(
        path, config=np.array(text), atoms=state["components_"], indices=state["atom_indices_"], **labels
    )


def _written_labels(name: str, labels: NDArray[Any]) -> dict[str, Any]:
    """Labels as arrays that hold no objects: numbers beside strings become JSON."""
    if not labels.dtype.hasobject:
        return {"labels": labels}
    plain = [label.item() if isinstance(label, np.generic) else label for label in labels.flat]
    strange = [label for label in plain if not isinstance(label, (str, int, float, NoneType))]
    if strange:
        raise TypeError(
            f"{name}: labels must be numbers or strings to be saved; got {shown(strange[0])}. "
            "Fit with such labels."
        )
    text = json.dumps({"shape": labels.shape, "labels": plain})
    return {"mixed_labels": np.array(text)}


def _read_labels(parts: dict[str, NDArray[Any]]) -> NDArray[Any] | None:
    if "mixed_labels" not in parts:
        return parts.get("labels")
    given = json.loads(str(parts["mixed_labels"]))
    labels = np.empty(len(given["labels"]), object)
    labels[:] = given["labels"]
    return labels.reshape(given["shape"])


def read(name: str, path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and learned attributes."""
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            parts = {key: file[key] for key in file.files}
        config = json.loads(str(parts["config"]))
        if config["format"] != _FORMAT:
            raise ValueError(f"format {shown(config['format'])} in place of {_FORMAT!r}")
        atoms: NDArray[Any] = parts["atoms"]
        indices, labels = parts["indices"], _read_labels(parts)
        if atoms.ndim != 2 or not atoms.shape[1] or atoms.dtype not in (np.float32, np.float64):
            raise ValueError(f"atoms of shape {atoms.shape} and dtype {atoms.dtype}")
        if not np.isfinite(atoms).all():
            raise ValueError("atoms with NaN or infinity")
        if indices.shape != (len(atoms),) or indices.dtype != np.int64:
            raise ValueError(f"{len(indices)} rows for {len(atoms)} atoms")
        if labels is not None and (not labels.ndim or len(labels) != len(atoms)):
            raise ValueError(f"labels of shape {labels.shape} for {len(atoms)} atoms")
        state = {
            "components_": np.ascontiguousarray(atoms),
            "atom_indices_": indices,
            "atom_labels_": labels,
            "n_features_in_": int(atoms.shape[1]),
            "_seen": int(config["seen"]),
            "_labeled": bool(config["labeled"]),
        }
        return dict(config["parameters"]), state
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: path must be readable; got {error.strerror} for {shown(str(path))}. "
            "Pass a path that is there."
        ) from error
    except Exception as error:  # a reader of files may raise anything
        refuse(name, path, error)


def refuse(name: str, path: str | os.PathLike[str], error: Exception) -> NoReturn:
    """Raises one error for all that may be wrong with a file."""
    reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    raise ValueError(
        f"{name}: path must be a file that ITDA.save has written; got {shown(str(path))}: {reason}. "
        "Save it again."
    ) from error
