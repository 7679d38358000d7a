"""The operators of torch on a GPU: the kernels of the extension, with the bits of the core's."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch

from latom._base.arrays import as_vector
from latom._base.device import Place, pointer_of
from latom._base.device_rows import DeviceRows
from latom._base.device_select import DeviceAtoms
from latom.encode.on_device import decode_on_device

Tensor: TypeAlias = torch.Tensor


def topk_linear(
    name: str, place: Place, x: Tensor, weight: Tensor, bias: Tensor | None, k: int, activation: str
) -> tuple[Tensor, Tensor]:
    """The k best atoms of each row."""
    vector = None if bias is None else as_vector(name, "bias", bias.detach().cpu(), len(weight))
    atoms = DeviceAtoms(name, place, weight, "dot", vector, _dtype(x), "weight")
    values, indices, _ = atoms.topk(name, DeviceRows(name, place, x, "x", _dtype(x)), k, activation)
    return values.to(x.dtype), indices.to(torch.int64)


def sparse_linear(
    name: str, place: Place, values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Rows from codes."""
    made: Tensor = decode_on_device(name, place, (values, indices), weight, "bias", bias)
    return made.to(values.dtype)


def products_at(name: str, place: Place, rows: Tensor, indices: Tensor, weight: Tensor) -> Tensor:
    """<rows_i, weight[indices_ip]>, (n, k)."""
    dtype, (n, k) = _dtype(rows), indices.shape
    x, W = DeviceRows(name, place, rows, "x", dtype), DeviceRows(name, place, weight, "weight", dtype)
    out, at = place.empty((n, k), dtype), indices.contiguous()
    _kernel(place, "products_at_", dtype)(
        *(x.settle(), pointer_of(at), at.element_size(), n, k, W.settle(), x.shape[1], pointer_of(out)),
        *(place.ordinal, place.stream),
    )
    made: Tensor = out.to(rows.dtype)
    return made


def gather_by_latent(
    name: str, place: Place, values: Tensor, indices: Tensor, rows: Tensor, m: int
) -> Tensor:
    """The sum of values_ip rows_i over the entries at each latent, (m, d)."""
    dtype, (n, k) = _dtype(rows), indices.shape
    x = DeviceRows(name, place, rows, "x", dtype)
    wide, at, size = place.as_codes(name, values, indices, dtype)
    out = place.empty((m, x.shape[1]), dtype)
    workspace = place.memory(place.module.latents_bytes(n, k, m))
    _kernel(place, "gather_by_latent_", dtype)(
        *(pointer_of(at), size, pointer_of(wide), n, k, x.settle(), x.shape[1], m, pointer_of(out)),
        *(workspace, place.stream),
    )
    made: Tensor = out.to(rows.dtype)
    return made


def _dtype(tensor: Tensor) -> Any:
    return np.dtype(np.float64 if tensor.dtype == torch.float64 else np.float32)


def _kernel(place: Place, name: str, dtype: Any) -> Any:
    return getattr(place.module, name + ("f32" if dtype == np.float32 else "f64"))
