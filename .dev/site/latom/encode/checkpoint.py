"""Files of a checkpoint, read as what may be broken or hostile: refusals say what is wrong, and where."""

from __future__ import annotations

import importlib
import json
import os
import reprlib
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_numpy, widen
from latom._base.checks import check_integer

_SAFETENSORS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64}


class Checkpoint:
    """Where weights are read from, and how what cannot be used is refused."""

    def __init__(self, function: str, path: str | os.PathLike[str]) -> None:
        self.function = function
        try:
            self.path = Path(path)
        except TypeError as error:
            raise TypeError(
                f"{function}: path must be a str or a path; got {reprlib.repr(path)}. "
                "Pass the folder that holds the weights."
            ) from error

    # ---- files

    def config(self, file: Path, name: str) -> dict[str, Any]:
        """The JSON object beside a file of weights."""
        beside = file.parent / name
        if not beside.is_file():
            raise self.missing(
                f"hold {name} beside {file.name}", "Download it too: it says what the weights mean."
            )
        with self.reading(beside):
            config = json.loads(beside.read_text(encoding="utf-8"))
            if not isinstance(config, dict):
                raise ValueError(f"{reprlib.repr(config)}, which is no JSON object")
            return config

    def tensors(self, file: Path, needed: Set[str], allowed: Set[str] = frozenset()) -> Tensors:
        """The tensors of a file whose names are those needed, and none but these and the allowed."""
        if file.suffix == ".npz":
            return self._archive(file, needed)
        library = self._import(*(("safetensors", "pretrained") if _is_safe(file) else ("torch", "torch")))
        with self.reading(file):
            state: Any
            if _is_safe(file):
                state = dict(library.deserialize(file.read_bytes()))
            else:
                state = library.load(file, map_location="cpu", weights_only=True)
            if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
                raise ValueError(f"{type(state).__name__}, which is no dict of tensors")
            self._check_names(file, state.keys(), needed, allowed)
        return Tensors(self, file, state)

    def _archive(self, file: Path, needed: Set[str]) -> Tensors:
        with self.reading(file), file.open("rb") as stream, np.load(stream) as archive:
            self._check_names(file, set(archive.files), needed, frozenset())
            return Tensors(self, file, {name: archive[name] for name in needed})

    def _check_names(self, file: Path, names: Set[str], needed: Set[str], allowed: Set[str]) -> None:
        if missing := needed - names:
            self.refuse(f"with the tensors {sorted(needed)}", f"{file.name} without {sorted(missing)}")
        if strange := names - needed - allowed:
            self.refuse(
                f"of the tensors {sorted(needed)} alone",
                f"{reprlib.repr(sorted(strange))} as well (a 'threshold' means JumpReLU, 'W_skip' a skip "
                "connection)",
            )

    def _import(self, library: str, extra: str) -> Any:
        try:
            return importlib.import_module(library)
        except ImportError as error:
            raise ImportError(
                f"{self.function}: {library} must be installed to read {self.path.name}. "
                f"pip install 'latom[{extra}]'"
            ) from error

    @contextmanager
    def reading(self, file: Path) -> Iterator[None]:
        """Turns what a reader of a format raises, which may be anything, into one error."""
        try:
            yield
        except Exception as error:
            if str(error).startswith(f"{self.function}: "):  # one of ours
                raise
            if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
                raise type(error)(
                    f"{self.function}: path must be readable; got {error.strerror} for {str(file)!r}. "
                    "Pass a path that is there and that you may read."
                ) from error
            reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
            got = f"{file.name[-80:]}: {reason}"
            if isinstance(error, MemoryError):
                raise MemoryError(
                    f"{self.function}: path must fit in memory; got {got}. Use a machine with more of it."
                ) from error
            raise ValueError(
                f"{self.function}: path must be a checkpoint that can be read; got {got}. Download it again."
            ) from error

    # ---- parts

    def flag(self, config: dict[str, Any], name: str, default: bool) -> bool:
        """An option that is true or false; null is the default."""
        value = config.get(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(f"of {name} true or false", reprlib.repr(value))
        return default if value is None else value

    def count(self, given: int | None, own: Any, m: int) -> int:
        """k: what the caller gives, else the checkpoint's own."""
        if given is not None:
            return check_integer(self.function, "k", given, m)
        if own is None:
            raise ValueError(
                f"{self.function}: k must be given for a checkpoint that holds none; got None. Pass k."
            )
        k = own.item() if getattr(own, "ndim", None) == 0 else own
        if isinstance(k, bool) or not isinstance(k, int | float) or k != k // 1 or not 1 <= k <= m:
            self.refuse(f"whose k is an integer in [1, {m}]", f"k = {reprlib.repr(k)}", "Pass k.")
        return int(k)

    def refuse(self, constraint: str, got: str, remedy: str = "Use the library that wrote it.") -> NoReturn:
        """Raises a ValueError about the path."""
        raise ValueError(f"{self.function}: path must be a checkpoint {constraint}; got {got}. {remedy}")

    def missing(self, must: str, remedy: str) -> FileNotFoundError:
        """The error where nothing is at the path."""
        return FileNotFoundError(f"{self.function}: path must {must}; got {str(self.path)!r}. {remedy}")


class Tensors:
    """Tensors of one file, checked and converted when they are asked for."""

    def __init__(self, checkpoint: Checkpoint, file: Path, raw: dict[str, Any]) -> None:
        self._checkpoint, self._file, self._raw = checkpoint, file, raw

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def value(self, name: str) -> Any:
        """What has the name, as numpy where it is a tensor; None where nothing has."""
        value = self._raw.get(name)
        with self._checkpoint.reading(self._file):
            if _is_safe(self._file) and value is not None:
                return _from_safetensors(value)
            try:
                return as_numpy(self._checkpoint.function, value, name) if hasattr(value, "shape") else value
            except TypeError as error:  # a complex, sparse or distant tensor: what it got is its middle part
                got = str(error).split("; got ")[-1].split(". ")[0]
                self._checkpoint.refuse("of real, dense weights", f"{name!r} of {got}")

    def matrix(self, name: str) -> NDArray[Any]:
        """Weights of two dimensions, as C-contiguous float32 or float64."""
        return self._real(name, 2)

    def transposed(self, name: str) -> NDArray[Any]:
        """The transpose of such weights."""
        return np.ascontiguousarray(self._real(name, 2).T)

    def vector(self, name: str) -> NDArray[Any]:
        """Weights of one dimension."""
        return self._real(name, 1)

    def _real(self, name: str, dimensions: int) -> NDArray[Any]:
        value = np.asarray(self.value(name))
        if value.dtype.kind not in "fiu":
            self._checkpoint.refuse("of real, dense weights", f"{name!r} of dtype {value.dtype}")
        if value.ndim != dimensions or not value.size:
            what = "vector" if dimensions == 1 else "matrix"
            self._checkpoint.refuse(f"in which {name!r} is a {what}", f"shape {value.shape}")
        wide = value.dtype.kind in "iu" or value.dtype.itemsize >= 8
        weights: NDArray[Any] = np.ascontiguousarray(value, np.float64 if wide else np.float32)
        if not np.isfinite(weights).all():
            bad = weights[~np.isfinite(weights)][0]
            self._checkpoint.refuse("of finite weights", f"{bad} in {name!r}", "Download it again.")
        return weights


def _is_safe(file: Path) -> bool:
    return file.suffix == ".safetensors"


def _from_safetensors(part: dict[str, Any]) -> NDArray[Any]:
    if part["dtype"] not in _SAFETENSORS:
        raise ValueError(f"dtype {part['dtype']}, which is none of {', '.join(_SAFETENSORS)}")
    if 0 in part["shape"]:
        return np.zeros(part["shape"], np.float32)
    flat = np.frombuffer(part["data"], _SAFETENSORS[part["dtype"]])
    if part["dtype"] == "BF16":
        flat = widen(flat, "bfloat16")
    return flat.reshape(part["shape"])
