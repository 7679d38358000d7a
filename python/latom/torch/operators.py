"""topk_linear and sparse_linear: custom operators of torch on the core, with fake and autograd registrations.

Gradients are made of the same parts: where values are the code of rows, and g their gradient,

    topk_linear     dx_i = sum_p g_p W[index_p]       dW_j = sum of g_p x_i       db_j = sum of g_p
    sparse_linear   dvalue_p = <G_i, W[index_p]>      dW_j = sum of value_p G_i   db = sum_i G_i

so that no array of rows times latents is made in either direction.
"""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from latom._base.backend import backend, call, cuda_module
from latom._base.checks import check_choice, check_integer, shown
from latom._base.device import place_of
from latom._base.rows import Rows
from latom.encode.atoms import Atoms
from latom.encode.codes import decoded
from latom.torch import on_device

Tensor: TypeAlias = torch.Tensor
_WARNED: set[str] = set()


def topk_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, k: int, activation: str = "relu"
) -> tuple[Tensor, Tensor]:
    """The k best entries of ``x @ weight.T + bias`` of each row, as float64 ranks them.

    Parameters
    ----------
    x : tensor of shape (..., d)
        float32, float64 or bfloat16.
    weight : tensor of shape (m, d)
        One latent per row, as ``Linear.weight`` has it; of the dtype of x.
    bias : tensor of shape (m,), optional
    k : int
        At most m.
    activation : {"relu", "identity", "abs"}
        As in :func:`latom.encode`. Places of "relu" that no entry above 0 fills hold value 0 and index 0, and
        have no gradient.

    Returns
    -------
    values : tensor of shape (..., k)
        Highest first, of the dtype of x.
    indices : int64 tensor of shape (..., k)

    Raises
    ------
    ValueError, TypeError
        If shapes, types or k do not fit.

    Notes
    -----
    Gradients reach x, weight and bias through the entries that were kept. Tensors on the CPU are computed
    by latom's core, those on a GPU by its kernels, to the same bits, where latom was built with CUDA; others
    by torch's own operations, which a warning says once.

    Examples
    --------
    >>> import torch
    >>> from latom.torch import topk_linear
    >>> x = torch.tensor([[1.0, 3.0, 2.0]], requires_grad=True)
    >>> values, indices = topk_linear(x, torch.eye(3), k=2)
    >>> values.tolist(), indices.tolist()
    ([[3.0, 2.0]], [[1, 2]])
    >>> values.sum().backward()
    >>> x.grad.tolist()
    [[0.0, 1.0, 1.0]]
    """
    name = "torch.topk_linear"
    check_choice(name, "activation", activation, ("relu", "identity", "abs"))
    _check_tensors(name, x=x, weight=weight, bias=bias)
    _check_matrix(name, x, weight, bias, weight.shape[0] if weight.ndim == 2 else -1)
    k = check_integer(name, "k", k, weight.shape[0])
    flat = x.reshape(-1, x.shape[-1])
    made = _by_torch(name, x)
    if made:
        values, indices = _topk_by_torch(flat, weight, bias, k, activation)
    else:
        values, indices = torch.ops.latom.topk_linear(flat, weight, bias, k, activation)
    shape = (*x.shape[:-1], k)
    return values.reshape(shape), indices.reshape(shape)


def sparse_linear(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Rows from codes: ``bias + sum_p values[..., p] weight[indices[..., p]]``.

    Parameters
    ----------
    values, indices : tensors of shape (..., k)
        As :func:`topk_linear` gives them.
    weight : tensor of shape (m, d)
        One latent per row; of the dtype of values.
    bias : tensor of shape (d,), optional

    Returns
    -------
    rows : tensor of shape (..., d)

    Raises
    ------
    ValueError, TypeError
        If shapes or types do not fit, or an index is not in [0, m).

    Notes
    -----
    Gradients reach values, weight and bias. Where it is computed is as in :func:`topk_linear`.

    Examples
    --------
    >>> import torch
    >>> from latom.torch import sparse_linear
    >>> values, indices = torch.tensor([[3.0, 2.0]]), torch.tensor([[1, 2]])
    >>> sparse_linear(values, indices, torch.eye(3), torch.ones(3)).tolist()
    [[1.0, 4.0, 3.0]]
    """
    name = "torch.sparse_linear"
    _check_tensors(name, values=values, indices=indices, weight=weight, bias=bias)
    if values.shape != indices.shape or values.ndim < 1:
        raise ValueError(
            f"{name}: indices must have the shape of values, {tuple(values.shape)}; got "
            f"{tuple(indices.shape)}. Pass what topk_linear returns."
        )
    if indices.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"{name}: indices must be int32 or int64; got {indices.dtype}. Use indices.long().")
    _check_matrix(name, None, weight, bias, weight.shape[1] if weight.ndim == 2 else -1, values.dtype)
    k = values.shape[-1]
    flat, at = values.reshape(-1, k), indices.reshape(-1, k).to(torch.int64)
    if _by_torch(name, values):
        rows = _sparse_by_torch(flat, at, weight, bias)
    else:
        rows = torch.ops.latom.sparse_linear(flat, at, weight, bias)
    return rows.reshape(*values.shape[:-1], weight.shape[1])


# ---- checks


def _check_tensors(name: str, **given: Any) -> None:
    """Refuse what is no tensor; a bias may be None."""
    for argument, value in given.items():
        if not torch.is_tensor(value) and not (argument == "bias" and value is None):
            raise TypeError(
                f"{name}: {argument} must be a torch.Tensor; got {type(value).__name__}. "
                f"Use torch.as_tensor({argument})."
            )


def _check_matrix(
    name: str, x: Tensor | None, weight: Tensor, bias: Tensor | None, size: int, dtype: Any = None
) -> None:
    argument, dtype = ("values", dtype) if x is None else ("x", x.dtype)
    if dtype not in (torch.float32, torch.float64, torch.bfloat16):
        raise TypeError(
            f"{name}: {argument} must be float32, float64 or bfloat16; got {dtype}. Use {argument}.float()."
        )
    if weight.ndim != 2 or (x is not None and (x.ndim < 1 or weight.shape[1] != x.shape[-1])):
        what = "(m, d)" if x is None else f"(m, {x.shape[-1] if x.ndim else 0})"
        raise ValueError(
            f"{name}: weight must have shape {what}; got {tuple(weight.shape)}. Transpose it if it has a row "
            "for each column."
        )
    if bias is not None and bias.shape != (size,):
        raise ValueError(f"{name}: bias must have shape ({size},); got {tuple(bias.shape)}. Reshape it.")
    for part, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype != dtype:
            raise TypeError(
                f"{name}: {part} must be {dtype}, as {argument} is; got {tensor.dtype}. "
                f"Use {part}.to({argument}.dtype)."
            )


def _by_torch(name: str, tensor: Tensor) -> bool:
    """Whether torch computes; says so once."""
    kind = tensor.device.type
    if kind == "cpu" or (kind == "cuda" and cuda_module() is not None):
        return False
    if kind not in _WARNED:
        _WARNED.add(kind)
        warnings.warn(
            f"{name}: x is on {shown(str(tensor.device))}, where this latom has no core: torch's own "
            "operations compute it, and pre-activations take (rows, latents).",
            UserWarning,
            stacklevel=3,
        )
    return True


def _topk_by_torch(
    x: Tensor, weight: Tensor, bias: Tensor | None, k: int, activation: str
) -> tuple[Tensor, Tensor]:
    p = torch.nn.functional.linear(x, weight, bias)
    if activation == "abs":
        indices = p.abs().topk(k, dim=1).indices
        return p.gather(1, indices), indices
    values, indices = (p.relu() if activation == "relu" else p).topk(k, dim=1)
    return values, indices.where(values > 0, 0) if activation == "relu" else indices


def _sparse_by_torch(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows = torch.nn.functional.embedding_bag(indices, weight, per_sample_weights=values, mode="sum")
    return rows if bias is None else rows + bias


# ---- the core, on numpy arrays that share memory with the tensors


def _array(tensor: Tensor) -> NDArray[Any]:
    """C-contiguous numpy of float32 or float64; bfloat16 is widened."""
    wide = tensor.detach()
    wide = wide.float() if wide.dtype == torch.bfloat16 else wide
    return np.require(wide.contiguous().numpy(), requirements=["C", "A"])


def _tensor(array: NDArray[Any], dtype: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)


def _codes(values: Tensor, indices: Tensor, m: int) -> tuple[Any, Any, Any]:
    """The parts of CSR, of the indices in [0, m)."""
    n, k = values.shape
    indptr = np.arange(n + 1, dtype=np.int64) * k
    given = indices.detach().numpy()
    if given.size and not (given.min() >= 0 and given.max() < m):  # before 32 bits cut them
        bad = given.min() if given.min() < 0 else given.max()
        raise ValueError(
            f"torch.sparse_linear: indices must lie in [0, {m}); got {bad}. Pass what topk_linear returns."
        )
    at = np.ascontiguousarray(given.astype(np.int32)).reshape(-1)
    return indptr, at, np.ascontiguousarray(_array(values)).reshape(-1)


@torch.library.custom_op("latom::topk_linear", mutates_args=(), device_types=("cpu", "cuda"))
def _topk_op(
    x: Tensor, weight: Tensor, bias: Tensor | None, k: int, activation: str
) -> tuple[Tensor, Tensor]:
    name = "torch.topk_linear"
    if not len(x):
        return x.new_zeros((0, k)), x.new_zeros((0, k), dtype=torch.int64)
    if place := place_of(name, None, x=x, weight=weight, bias=bias):
        return on_device.topk_linear(name, place, x, weight, bias, k, activation)
    table = Atoms(_array(weight), "dot")
    if bias is not None:
        table.bias = _array(bias).astype(np.float64)
    values, indices, _ = table.topk(call(name), Rows(name, _array(x)), k, activation)
    return _tensor(values, x.dtype), _tensor(indices.astype(np.int64), torch.int64)


@_topk_op.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, k: int, activation: str) -> tuple[Tensor, Tensor]:
    return x.new_empty((x.shape[0], k)), x.new_empty((x.shape[0], k), dtype=torch.int64)


@torch.library.custom_op("latom::sparse_linear", mutates_args=(), device_types=("cpu", "cuda"))
def _sparse_op(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not len(values) or not values.shape[1]:
        rows = values.new_zeros((len(values), weight.shape[1]))
        return rows if bias is None else rows + bias
    name = "torch.sparse_linear"
    if place := place_of(name, None, values=values, indices=indices, weight=weight, bias=bias):
        return on_device.sparse_linear(name, place, values, indices, weight, bias)
    codes = (_array(values), indices.detach().numpy())
    start = None if bias is None else _array(bias)
    made = decoded(name, codes, _array(weight), "bias", start, None)
    return _tensor(made, values.dtype)


@_sparse_op.register_fake
def _(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return values.new_empty((values.shape[0], weight.shape[1]))


@torch.library.custom_op("latom::products_at", mutates_args=(), device_types=("cpu", "cuda"))
def _products_op(rows: Tensor, indices: Tensor, weight: Tensor) -> Tensor:
    """<rows_i, weight[indices_ip]>, (n, k)."""
    if not indices.numel():
        return rows.new_zeros(indices.shape)
    if place := place_of("torch.sparse_linear", None, rows=rows, indices=indices, weight=weight):
        return on_device.products_at("torch.sparse_linear", place, rows, indices, weight)
    codes = _codes(torch.ones(indices.shape, dtype=_wide(rows)), indices, len(weight))
    made = backend().products_at(call("torch.sparse_linear"), codes, _array(rows), _array(weight))
    return _tensor(made.reshape(indices.shape), rows.dtype)


@_products_op.register_fake
def _(rows: Tensor, indices: Tensor, weight: Tensor) -> Tensor:
    return rows.new_empty(indices.shape)


@torch.library.custom_op("latom::gather_by_latent", mutates_args=(), device_types=("cpu", "cuda"))
def _gather_op(values: Tensor, indices: Tensor, rows: Tensor, m: int) -> Tensor:
    """The sum of values_ip rows_i over the entries at each latent, (m, d)."""
    if not values.numel():
        return rows.new_zeros((m, rows.shape[1]))
    if place := place_of("torch.sparse_linear", None, values=values, indices=indices, rows=rows):
        return on_device.gather_by_latent("torch.sparse_linear", place, values, indices, rows, m)
    codes = _codes(values, indices, m)
    made = backend().gather_by_latent(call("torch.sparse_linear"), codes, _array(rows), m)
    return _tensor(made, rows.dtype)


@_gather_op.register_fake
def _(values: Tensor, indices: Tensor, rows: Tensor, m: int) -> Tensor:
    return rows.new_empty((m, rows.shape[1]))


def _wide(tensor: Tensor) -> Any:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


# ---- gradients


def _keep_topk(ctx: Any, inputs: Any, output: Any) -> None:
    x, weight, bias, _, activation = inputs
    values, indices = output
    ctx.save_for_backward(x, weight, values, indices)
    ctx.biased, ctx.relu = bias is not None, activation == "relu"
    ctx.mark_non_differentiable(indices)


def _topk_backward(ctx: Any, by_values: Tensor, by_indices: Any) -> Any:
    x, weight, values, indices = ctx.saved_tensors
    g = torch.where(values > 0, by_values, 0) if ctx.relu else by_values
    by_x = by_weight = by_bias = None
    if ctx.needs_input_grad[0]:
        by_x = torch.ops.latom.sparse_linear(g, indices, weight, None)
    if ctx.needs_input_grad[1]:
        by_weight = torch.ops.latom.gather_by_latent(g, indices, x, weight.shape[0])
    if ctx.biased and ctx.needs_input_grad[2]:
        ones = x.new_ones((x.shape[0], 1))
        by_bias = torch.ops.latom.gather_by_latent(g, indices, ones, weight.shape[0]).squeeze(1)
    return by_x, by_weight, by_bias, None, None


def _keep_sparse(ctx: Any, inputs: Any, output: Any) -> None:
    values, indices, weight, bias = inputs
    ctx.save_for_backward(values, indices, weight)
    ctx.biased = bias is not None


def _sparse_backward(ctx: Any, g: Tensor) -> Any:
    values, indices, weight = ctx.saved_tensors
    by_values = by_weight = by_bias = None
    if ctx.needs_input_grad[0]:
        by_values = torch.ops.latom.products_at(g, indices, weight)
    if ctx.needs_input_grad[2]:
        by_weight = torch.ops.latom.gather_by_latent(values, indices, g, weight.shape[0])
    if ctx.biased and ctx.needs_input_grad[3]:
        by_bias = g.sum(dim=0)
    return by_values, None, by_weight, by_bias


_topk_op.register_autograd(_topk_backward, setup_context=_keep_topk)
_sparse_op.register_autograd(_sparse_backward, setup_context=_keep_sparse)


def _keep_products(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _products_backward(ctx: Any, g: Tensor) -> Any:
    rows, indices, weight = ctx.saved_tensors
    by_rows = torch.ops.latom.sparse_linear(g, indices, weight, None) if ctx.needs_input_grad[0] else None
    by_weight = None
    if ctx.needs_input_grad[2]:
        by_weight = torch.ops.latom.gather_by_latent(g, indices, rows, weight.shape[0])
    return by_rows, None, by_weight


def _keep_gather(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs[:3])


def _gather_backward(ctx: Any, g: Tensor) -> Any:
    values, indices, rows = ctx.saved_tensors
    by_values = torch.ops.latom.products_at(rows, indices, g) if ctx.needs_input_grad[0] else None
    by_rows = torch.ops.latom.sparse_linear(values, indices, g, None) if ctx.needs_input_grad[2] else None
    return by_values, None, by_rows, None


_products_op.register_autograd(_products_backward, setup_context=_keep_products)
_gather_op.register_autograd(_gather_backward, setup_context=_keep_gather)
