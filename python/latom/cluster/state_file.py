"""Arrays of a fit in a file that is renamed in place when it is whole."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
import scipy.sparse as sp

from latom._base.arrays import Matrix
from latom._base.checks import shown

Arrays = dict[str, Any]
State = TypeVar("State")


class StateFile:
    """The state of a fit in a file, from which one that was killed goes on.

    Parameters
    ----------
    path : path or None
        None keeps nothing.
    name : str
        What messages start with.
    fit : str
        What the fit is of: a file of another fit is refused.
    """

    def __init__(self, path: Any, name: str, fit: str) -> None:
        self._path = None if path is None else Path(path)
        self._name, self._fit = name, fit

    def load(self, read: Callable[[Arrays], State]) -> State | None:
        """What `read` makes of the arrays that an earlier fit has left, or None.

        read raises what numpy and scipy do, or a ValueError, where they are not what it expects.
        """
        if self._path is None or not self._path.exists():
            return None
        remedy = f"Remove {self._path.name}, or pass another path."
        state = None
        with self._path.open("rb") as stream:
            try:
                with np.load(stream, allow_pickle=False) as file:
                    arrays = dict(file)
                fit = str(arrays["fit"])
                if fit == self._fit:
                    state = read(arrays)
            # A directory that tells of a place before the file makes the system refuse to go there.
            except (BadZipFile, EOFError, KeyError, OSError, TypeError, ValueError, zlib.error) as error:
                raise ValueError(
                    f"{self._name}: checkpoint must be a file that a fit has left; got {self._path.name}, "
                    f"with {type(error).__name__}. {remedy}"
                ) from error
        if state is None:
            raise ValueError(
                f"{self._name}: checkpoint must be of the same fit ({self._fit}); got {shown(fit)}. {remedy}"
            )
        return state

    def save(self, arrays: Callable[[], Arrays]) -> None:
        """Keeps arrays, which are asked for only where they are kept."""
        if self._path is None:
            return
        beside = self._path.with_name(self._path.name + ".new")
        with open(beside, "wb") as file:
            np.savez(file, fit=np.array(self._fit), **arrays())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)

    def remove(self) -> None:
        """Forgets the state: the fit is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def matrix_arrays(prefix: str, matrix: Matrix) -> Arrays:
    """A dense or CSR matrix as arrays."""
    if sp.issparse(matrix):
        parts = {"centers": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    else:
        parts = {"centers": matrix}
    return {prefix + key: value for key, value in parts.items()}


def matrix_of(arrays: Arrays, prefix: str, shape: tuple[int, int]) -> Matrix:
    """The matrix of :func:`matrix_arrays`; raises a ValueError where its shape is another."""
    matrix = arrays[prefix + "centers"]
    if prefix + "indptr" in arrays:
        parts = (matrix, arrays[prefix + "indices"], arrays[prefix + "indptr"])
        matrix = sp.csr_array(parts, shape=shape)
    if matrix.shape != shape:
        raise ValueError("centers of another shape")
    return matrix
