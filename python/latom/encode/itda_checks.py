"""What ITDA's parameters and labels must be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.checks import check_choice, check_flag, check_integer, check_range, shown


def check_parameters(name: str, model: Any) -> None:
    """Refuse wrong values of an ITDA's parameters; those of init that are an array are looked at with X."""
    check_integer(name, "n_nonzero_coefs", model.n_nonzero_coefs)
    check_range(name, "tol", model.tol, 1.0)
    if model.max_atoms is not None:
        check_integer(name, "max_atoms", model.max_atoms)
    check_integer(name, "batch_size", model.batch_size)
    check_choice(name, "algorithm", model.algorithm, ("mp", "omp"))
    check_choice(name, "update", model.update, ("batch", "sequential"))
    check_flag(name, "sparse_output", model.sparse_output)
    if isinstance(model.init, str) and model.init != "frequent":
        raise ValueError(
            f"{name}: init must be 'frequent' or an array of atoms; got {shown(model.init)}. "
            "Use 'frequent' if unsure."
        )
    if not isinstance(model.verbose, (bool, np.bool_)):
        check_integer(name, "verbose", model.verbose, low=0)
    if model.callback is not None and not callable(model.callback):
        raise TypeError(
            f"{name}: callback must be callable or None; got {shown(model.callback)}. "
            "Pass a function of one argument, the state."
        )
    model._check_place(name)


def checked_labels(
    name: str, labels: Any, n: int, before: bool | None, past: NDArray[Any] | None
) -> NDArray[Any] | None:
    """Labels of n rows as an array; before: whether earlier rows had labels, None if there were none."""
    if before is not None and before != (labels is not None):
        raise ValueError(
            f"{name}: labels must be given in each call or in none; got {shown(labels)}. "
            f"{'Pass labels again.' if before else 'Leave them out.'}"
        )
    if labels is None:
        return None
    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise ValueError(
            f"{name}: labels must all have one length; got {shown(labels)}. Pass one tuple size for all rows."
        ) from error
    if array.dtype.kind in "US" and not isinstance(labels, np.ndarray):
        given = np.asarray(labels, object)
        if not all(isinstance(label, (str, bytes)) for label in given.flat):
            array = given  # numpy would make strings of numbers that stand beside strings
    if array.ndim < 1 or len(array) != n:
        raise ValueError(
            f"{name}: labels must have one entry per row, {n}; got {shown(labels)}. "
            "Pass them in the order of the rows."
        )
    if past is not None and past.shape[1:] != array.shape[1:]:
        raise ValueError(
            f"{name}: labels must have shape {(n, *past.shape[1:])}, as those before; got {shown(labels)}. "
            "Pass labels of one kind in all calls."
        )
    return array


def joined_labels(past: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Labels of earlier atoms and of new ones; numbers beside strings stay numbers."""
    if (past.dtype.kind in "US") != (labels.dtype.kind in "US") and len(past):
        return np.concatenate([past.astype(object), labels.astype(object)])
    return np.concatenate([past, labels])
