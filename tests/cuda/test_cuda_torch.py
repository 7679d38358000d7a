"""The operators of torch on an emulated GPU: the core's bits, in both directions."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from equal import pretend

import latom

torch = pytest.importorskip("torch")
lt = pytest.importorskip("latom.torch")


def results(draw: Any, dtype: Any, activation: str) -> list[Any]:
    """An autoencoder's output and gradients, and the gradients of these."""
    x, W, V, b, c = (part.clone().to(dtype).requires_grad_() for part in draw)
    values, indices = lt.topk_linear(x, W, b, k=4, activation=activation)
    rows = lt.sparse_linear(values, indices, V, c)
    loss = (rows * rows).sum()
    first = torch.autograd.grad(loss, (x, W, V, b, c), create_graph=True)
    second = torch.autograd.grad(sum((g * g).sum() for g in first), (x, W, V, b))
    return [values, indices, rows, *first, *second]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_both_directions(
    cuda: ModuleType, monkeypatch: pytest.MonkeyPatch, dtype: str, activation: str
) -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = ((7, 9), (40, 9), (40, 9), (40,), (9,))
    parts = [torch.randn(shape, generator=generator) for shape in shapes]
    wanted = results(parts, getattr(torch, dtype), activation)
    pretend(monkeypatch)
    for found, other in zip(results(parts, getattr(torch, dtype), activation), wanted, strict=True):
        assert found.dtype == other.dtype
        assert torch.equal(found, other)


def test_many_entries_of_one_latent(
    cuda: ModuleType, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, order: str
) -> None:
    """More than a run of 256, and more than a pass of the sort has digits."""
    n, k, m = 200, 3, 300
    values, rows = (torch.from_numpy(rng.standard_normal(shape)) for shape in ((n, k), (n, 5)))
    indices = torch.from_numpy(np.where(rng.random((n, k)) < 0.7, 280, rng.integers(0, m, (n, k))))
    assert (indices == 280).sum() > 256
    wanted = torch.ops.latom.gather_by_latent(values, indices, rows, m)
    pretend(monkeypatch)
    assert torch.equal(torch.ops.latom.gather_by_latent(values, indices, rows, m), wanted)


def test_tensors_give_tensors(
    cuda: ModuleType, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    X, W = (torch.from_numpy(rng.standard_normal(shape).astype(np.float32)) for shape in ((6, 5), (30, 5)))
    codes, found = latom.encode(X, W, 3, output="torch"), latom.above(X, W, 1.0, output="torch")
    labels, scores = latom.assign(X, W[:4])
    best = latom.topk(X, W, 3)
    pretend(monkeypatch)
    for there, here in ((latom.encode(X, W, 3), codes), (latom.above(X, W, 1.0), found)):
        assert there.is_sparse
        assert torch.equal(there.to_dense(), here.to_dense())
    for there, here in zip(
        (*latom.assign(X, W[:4]), *latom.topk(X, W, 3)), (labels, scores, *best), strict=True
    ):
        assert torch.is_tensor(there)
        np.testing.assert_array_equal(there.numpy(), here)
    assert torch.is_tensor(latom.decode(latom.topk(X, W, 3), W))
    centers, indices = latom.kmeans_plusplus(X, 3, random_state=0)
    assert torch.equal(centers, X[indices])
    fitted = latom.KMeans(2, random_state=0).fit(X)
    assert torch.is_tensor(fitted.predict(X))
