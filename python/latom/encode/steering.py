"""Steering: rows as they would be with other codes."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_rows
from latom._base.checks import check_choice, check_flag, number_of, shown
from latom.encode.atoms import unstacked
from latom.encode.tensors import given_codes


def steer(
    X: Any, encoder: Any, edits: Mapping[int, float], *, mode: str = "set", keep_error: bool = True
) -> NDArray[Any]:
    """Rows with some of their latents changed: encode, edit, decode.

    Parameters
    ----------
    X : dense array of shape (n, d) or (..., d)
        Rows, such as activations.
    encoder : estimator
        Fitted, with ``transform`` to codes and ``inverse_transform``: :class:`latom.TopKEncoder`,
        :class:`latom.ThresholdEncoder`, :class:`latom.SparseAutoencoder`, :class:`latom.ITDA` or
        :class:`latom.MatchingPursuit`.
    edits : mapping of int to float
        A number for each latent to change.
    mode : {"set", "add", "scale"}
        The latent's code becomes the number, itself plus the number, or itself times the number. "scale" by 0
        takes a latent out; "set" and "add" also change rows in which it did not fire.
    keep_error : bool, default True
        Add what the change of the codes makes to X itself, so that what the codes miss of a row stays in it.
        False returns what the edited codes decode to.

    Returns
    -------
    rows : array of the shape of X

    Raises
    ------
    ValueError
        If a latent is out of range or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import TopKEncoder, steer
    >>> X = np.array([[1.0, 3, 2], [4, 0, 0]])
    >>> steer(X, TopKEncoder(np.eye(3), k=1), {1: 5.0}).tolist()
    [[1.0, 5.0, 2.0], [4.0, 5.0, 0.0]]
    """
    function = "steer"
    check_choice(function, "mode", mode, ("set", "add", "scale"))
    check_flag(function, "keep_error", keep_error)
    X, stack = unstacked(function, X)
    rows = as_rows(function, X)
    codes = given_codes(function, encoder.transform(rows), "encoder.transform(X)")
    edited = _edited(function, codes, edits, mode)
    made: NDArray[Any] = np.asarray(encoder.inverse_transform(edited))
    if keep_error:
        made = rows + (made - np.asarray(encoder.inverse_transform(codes)))
    return made.reshape(*stack, made.shape[1]) if stack else made


def _edited(function: str, codes: Matrix, edits: Mapping[int, float], mode: str) -> Matrix:
    if not isinstance(edits, Mapping):
        raise TypeError(
            f"{function}: edits must be a mapping from latents to numbers; got {shown(edits)}. "
            "Pass {latent: number}."
        )
    n, m = codes.shape
    for latent in edits:
        if not isinstance(latent, Integral) or isinstance(latent, bool) or not 0 <= latent < m:
            raise ValueError(
                f"{function}: edits must name latents by integers in [0, {m}); got {shown(latent)}. Name one "
                "by its column in the codes, counted from 0."
            )
    latents = np.array([int(latent) for latent in edits], np.int64)
    numbers = np.array([number_of(value) for value in edits.values()], np.float64)
    if not np.isfinite(numbers).all():
        bad = list(edits.values())[int(np.flatnonzero(~np.isfinite(numbers))[0])]
        raise ValueError(f"{function}: edits must have finite numbers; got {shown(bad)}. Use 0 to set to 0.")
    factors, constants = np.ones(m), np.zeros(m)
    if mode == "scale":
        factors[latents] = numbers
    else:
        constants[latents] = numbers
        if mode == "set":
            factors[latents] = 0
    kept = sp.csr_array(codes.multiply(factors[None, :]))
    if mode != "scale" and len(latents):
        places = np.tile(np.sort(latents), n)
        added = (constants[places], places, np.arange(n + 1) * len(latents))
        kept = sp.csr_array(kept + sp.csr_array(added, shape=(n, m)))
    kept = kept.astype(codes.dtype)
    kept.eliminate_zeros()
    return kept
