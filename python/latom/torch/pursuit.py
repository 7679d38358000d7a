"""matching_pursuit: a custom operator of torch on the core, with the gradients of the steps that were taken.

Which atoms are taken is a choice, and has no gradient; what they are taken by has. Let A be the atoms taken,
c = (A A^T)^-1 A x their coefficients by least squares, u = (A A^T)^-1 g, and r the residual:

    orthogonal   dx = A^T u     dA = u r^T - c dx^T

Plain pursuit is gone through backward. Of a step by a = <r, w> / <w, w>, l is the gradient by what it left:

    plain        b = (g_w - <l, w>) / <w, w>     dw += b (r - 2 a w) - a l   l += b w   dx = l at last
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch

from latom._base.backend import call
from latom._base.checks import check_flag, check_integer
from latom._base.rows import Rows
from latom.encode.pursuit import PursuitAtoms
from latom.torch.operators import _array, _check_matrix, _check_tensors, _tensor

Tensor: TypeAlias = torch.Tensor
_ROWS = 256  # whose atoms are gathered together


def matching_pursuit(
    x: Tensor, weight: Tensor, *, k: int, orthogonal: bool = False, positive: bool = False
) -> tuple[Tensor, Tensor]:
    """Sparse codes by k steps of matching pursuit, as float64 takes them.

    Parameters
    ----------
    x : tensor of shape (..., d)
        On the CPU; float32, float64 or bfloat16.
    weight : tensor of shape (m, d)
        One atom per row, of the dtype of x.
    k : int
        Steps, at most m.
    orthogonal : bool, default False
        All coefficients by least squares after each step, as in :func:`latom.orthogonal_matching_pursuit`;
        else as in :func:`latom.matching_pursuit`.
    positive : bool, default False
        No negative coefficients; not with ``orthogonal``.

    Returns
    -------
    values : tensor of shape (..., k)
        Coefficients by rising atom; 0 where a row has fewer.
    indices : int64 tensor of shape (..., k)
        Atoms; 0 there.

    Raises
    ------
    ValueError, TypeError
        If shapes, types, device or k do not fit.

    Notes
    -----
    Gradients reach x and weight through the steps that were taken. Backward gathers the atoms of 256 rows at
    a time, 256 k d numbers, and makes one gradient of the size of weight.

    Examples
    --------
    >>> import torch
    >>> from latom.torch import matching_pursuit
    >>> atoms = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    >>> values, indices = matching_pursuit(torch.tensor([[2.0, 0.8]]), atoms, k=2, orthogonal=True)
    >>> [round(value, 4) for value in values[0].tolist()], indices.tolist()
    ([1.4, 1.0], [[0, 1]])
    """
    name = "torch.matching_pursuit"
    _check_tensors(name, x=x, weight=weight)
    _check_matrix(name, x, weight, None, -1)
    k = check_integer(name, "k", k, weight.shape[0])
    orthogonal = check_flag(name, "orthogonal", orthogonal)
    if check_flag(name, "positive", positive) and orthogonal:
        raise ValueError(f"{name}: positive must be False where orthogonal is True; got True. Leave one out.")
    if x.device.type != "cpu":
        raise ValueError(f"{name}: x must be on the CPU; got {x.device}. Use x.cpu().")
    values, indices = torch.ops.latom.pursuit(
        x.reshape(-1, x.shape[-1]), weight, k, orthogonal, bool(positive)
    )
    shape = (*x.shape[:-1], k)
    return values.reshape(shape), indices.reshape(shape)


@torch.library.custom_op("latom::pursuit", mutates_args=(), device_types="cpu")
def _pursuit_op(x: Tensor, weight: Tensor, k: int, orthogonal: bool, positive: bool) -> tuple[Tensor, Tensor]:
    name = "torch.matching_pursuit"
    values, indices = np.zeros((len(x), k)), np.zeros((len(x), k), np.int64)
    if len(x):
        atoms = PursuitAtoms(_array(weight))
        codes, _ = atoms.pursue(
            call(name), Rows(name, _array(x)), k, orthogonal=orthogonal, positive=positive
        )
        there = np.arange(k) < np.diff(codes.indptr)[:, None]
        values[there], indices[there] = codes.data, codes.indices
    return _tensor(values, x.dtype), torch.from_numpy(indices)


@_pursuit_op.register_fake
def _(x: Tensor, weight: Tensor, k: int, orthogonal: bool, positive: bool) -> tuple[Tensor, Tensor]:
    return x.new_empty((x.shape[0], k)), x.new_empty((x.shape[0], k), dtype=torch.int64)


@torch.library.custom_op("latom::pursuit_backward", mutates_args=(), device_types="cpu")
def _backward_op(
    x: Tensor, weight: Tensor, values: Tensor, indices: Tensor, g: Tensor, orthogonal: bool, positive: bool
) -> tuple[Tensor, Tensor]:
    by_x = torch.zeros(x.shape, dtype=torch.float64)
    by_weight = torch.zeros(weight.shape, dtype=torch.float64)
    least = torch.finfo(torch.float64 if x.dtype == torch.float64 else torch.float32).eps
    for first in range(0, len(x), _ROWS):
        part = slice(first, first + _ROWS)
        at, there = indices[part], values[part] != 0
        atoms = weight[at].double() * there[..., None]
        rows, own = x[part].double(), g[part].double() * there
        if orthogonal:
            made = _orthogonal(rows, atoms, values[part].double(), own, there)
        else:
            made = _plain(rows, atoms, own, there, positive, least)
        by_x[part] = made[0]
        by_weight.index_add_(0, at.reshape(-1), made[1].reshape(-1, weight.shape[1]))
    return by_x.to(x.dtype), by_weight.to(weight.dtype)


@_backward_op.register_fake
def _(
    x: Tensor, weight: Tensor, values: Tensor, indices: Tensor, g: Tensor, orthogonal: bool, positive: bool
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape)


def _orthogonal(x: Tensor, atoms: Tensor, c: Tensor, g: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    gram = atoms @ atoms.mT + torch.diag_embed((~there).double())
    u = torch.linalg.solve(gram, g[..., None])[..., 0] * there
    by_x = torch.einsum("ik,ikd->id", u, atoms)
    left = x - torch.einsum("ik,ikd->id", c, atoms)
    return by_x, u[..., None] * left[:, None] - c[..., None] * by_x[:, None]


def _plain(
    x: Tensor, atoms: Tensor, g: Tensor, there: Tensor, positive: bool, least: float
) -> tuple[Tensor, Tensor]:
    each, k = torch.arange(len(x)), atoms.shape[1]
    squares = (atoms**2).sum(dim=2).where(there, torch.ones(()).double())
    left, steps = x, []
    for _ in range(k):  # the best of all atoms is the best of those that were taken
        products = torch.einsum("ikd,id->ik", atoms, left)
        score = (products if positive else products.abs()).where(there, torch.tensor(-torch.inf).double())
        at = score.argmax(dim=1)
        product, square, w = products[each, at], squares[each, at], atoms[each, at]
        takes = product**2 >= least * (x**2).sum(dim=1) * square
        takes &= product > 0 if positive else product != 0
        a = (product / square).where(takes, torch.zeros(()).double())
        steps.append((at, a, takes, left))
        left = left - a[:, None] * w
    by_left, by_atoms = torch.zeros_like(x), torch.zeros_like(atoms)
    for at, a, takes, before in reversed(steps):
        w, square = atoms[each, at], squares[each, at]
        b = (g[each, at] - (by_left * w).sum(dim=1)) * takes / square
        by_atoms[each, at] += b[:, None] * (before - 2 * a[:, None] * w) - a[:, None] * by_left
        by_left = by_left + b[:, None] * w
    return by_left, by_atoms


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    x, weight, _, orthogonal, positive = inputs
    values, indices = output
    ctx.save_for_backward(x, weight, values, indices)
    ctx.orthogonal, ctx.positive = orthogonal, positive
    ctx.mark_non_differentiable(indices)


def _backward(ctx: Any, by_values: Tensor, by_indices: Any) -> Any:
    x, weight, values, indices = ctx.saved_tensors
    made = torch.ops.latom.pursuit_backward(
        x, weight, values, indices, by_values, ctx.orthogonal, ctx.positive
    )
    return (*made, None, None, None)


_pursuit_op.register_autograd(_backward, setup_context=_keep)
