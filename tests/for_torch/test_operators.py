"""Operators of torch: values, gradients, registrations, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import latom.torch as lt  # noqa: E402
from latom.torch import operators  # noqa: E402

N, D, M, K = 7, 5, 11, 3


def tensors(dtype=None, grad=True, seed=0):
    torch.manual_seed(seed)
    shapes = ((N, D), (M, D), (M,), (D,))
    return [torch.randn(shape, dtype=dtype or torch.float64, requires_grad=grad) for shape in shapes]


@pytest.mark.parametrize("activation", ["relu", "identity", "abs"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_torch(activation, dtype):
    x, W, b, c = tensors(dtype)
    results = []
    for topk, sparse in (
        (lt.topk_linear, lt.sparse_linear),
        (
            lambda *a, k, activation: operators._topk_by_torch(*a, k, activation),
            operators._sparse_by_torch,
        ),
    ):
        values, indices = topk(x, W, b, k=K, activation=activation)
        rows = sparse(values, indices, W, c)
        loss = ((rows - x) ** 2).sum() + (values**3).sum()
        results.append((values, rows, *torch.autograd.grad(loss, (x, W, b, c))))
    near = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-10}
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, **near)


@pytest.mark.parametrize("activation", ["relu", "identity", "abs"])
def test_gradcheck(activation):
    x, W, b, c = tensors()

    def both(x, W, b, c):
        values, indices = lt.topk_linear(x, W, b, k=K, activation=activation)
        return lt.sparse_linear(values, indices, W, c)

    assert torch.autograd.gradcheck(both, (x, W, b, c), atol=1e-6)
    assert torch.autograd.gradgradcheck(both, (x, W, b, c), atol=1e-5)


def test_opcheck():
    x, W, b, c = tensors()
    ops = torch.ops.latom
    torch.library.opcheck(ops.topk_linear.default, (x, W, b, K, "relu"))
    torch.library.opcheck(ops.topk_linear.default, (x, W, None, K, "identity"))
    values, indices = (part.detach() for part in ops.topk_linear(x, W, b, K, "relu"))
    values.requires_grad_()
    torch.library.opcheck(ops.sparse_linear.default, (values, indices, W, c))
    torch.library.opcheck(ops.products_at.default, (x, indices, W))
    torch.library.opcheck(ops.gather_by_latent.default, (values, indices, x, M))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_is_eager():
    x, W, b, c = tensors(torch.float32)

    def loss(x, W, b, c):
        return ((lt.sparse_linear(*lt.topk_linear(x, W, b, k=K), W, c) - x) ** 2).sum()

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    ours = torch.autograd.grad(compiled(x, W, b, c), (x, W, b, c))
    for got, wanted in zip(ours, torch.autograd.grad(loss(x, W, b, c), (x, W, b, c)), strict=True):
        torch.testing.assert_close(got, wanted)


def test_bfloat16_and_more_dimensions():
    x, W, b, c = (t.detach().to(torch.bfloat16) for t in tensors())
    x, W = x.requires_grad_(), W.requires_grad_()
    values, indices = lt.topk_linear(x.reshape(1, N, D), W, b, k=K)
    assert values.dtype == torch.bfloat16
    assert values.shape == indices.shape == (1, N, K)
    p = (x.double() @ W.double().T + b.double()).relu().topk(K).values
    torch.testing.assert_close(values[0].double(), p, rtol=1e-2, atol=1e-2)
    rows = lt.sparse_linear(values, indices, W, c)
    assert rows.shape == (1, N, D)
    rows.sum().backward()
    assert x.grad.dtype == W.grad.dtype == torch.bfloat16


def test_padding_has_no_gradient():
    x = torch.tensor([[-1.0, 2.0]], requires_grad=True)
    W = torch.eye(2, requires_grad=True)
    values, indices = lt.topk_linear(x, W, k=2)
    assert values.tolist() == [[2.0, 0.0]]
    assert indices.tolist() == [[1, 0]]
    values.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0]]
    assert W.grad.tolist() == [[0.0, 0.0], [-1.0, 2.0]]


def test_no_rows():
    x, W, b, c = tensors()
    values, indices = lt.topk_linear(x[:0], W, b, k=K)
    assert values.shape == (0, K)
    rows = lt.sparse_linear(values, indices, W, c)
    assert rows.shape == (0, D)
    rows.sum().backward()
    assert not W.grad.any()


def test_other_devices_are_torchs_and_say_so_once(monkeypatch):
    monkeypatch.setattr(operators, "_WARNED", set())
    x, W = torch.empty((2, 3), device="meta"), torch.empty((4, 3), device="meta")
    with pytest.warns(UserWarning, match="torch's own operations"):
        values, indices = lt.topk_linear(x, W, k=2)
    assert lt.sparse_linear(values, indices, W).shape == (2, 3)


def test_refusals():
    x, W, b, c = tensors(grad=False)
    with pytest.raises(ValueError, match="k must be an integer in"):
        lt.topk_linear(x, W, k=M + 1)
    with pytest.raises(ValueError, match="weight must have shape"):
        lt.topk_linear(x, W.T, k=1)
    with pytest.raises(ValueError, match="bias must have shape"):
        lt.topk_linear(x, W, c, k=1)
    with pytest.raises(TypeError, match="weight must be"):
        lt.topk_linear(x, W.float(), k=1)
    with pytest.raises(TypeError, match=r"x must be float32, float64 or bfloat16; got .*Use x\.float\(\)"):
        lt.topk_linear(x.half(), W.half(), k=1)
    with pytest.raises(ValueError, match="activation must be"):
        lt.topk_linear(x, W, k=1, activation="gelu")
    values, indices = lt.topk_linear(x, W, b, k=2)
    with pytest.raises(ValueError, match=r"in \[0, 11\)"):
        lt.sparse_linear(values, indices + M, W)
    with pytest.raises(ValueError, match="indices must have the shape"):
        lt.sparse_linear(values, indices[:, :1], W)
    with pytest.raises(TypeError, match="indices must be"):
        lt.sparse_linear(values, values, W)
    x[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        lt.topk_linear(x, W, k=1)


def test_what_is_no_tensor_is_named():
    x, W, b, c = tensors(grad=False)
    values, indices = lt.topk_linear(x, W, b, k=K)
    calls = {
        "x": lambda x: lt.topk_linear(x, W, b, k=K),
        "weight": lambda W: lt.topk_linear(x, W, b, k=K),
        "bias": lambda b: lt.topk_linear(x, W, b, k=K),
    }
    given = {"x": x, "weight": W, "bias": b, "values": values, "indices": indices}
    for name, call in calls.items():
        with pytest.raises(
            TypeError, match=rf"^torch\.topk_linear: {name} must be a torch\.Tensor; got ndarray"
        ):
            call(given[name].numpy())
    for name in ("values", "indices", "weight", "bias"):
        parts = {"values": values, "indices": indices, "weight": W, "bias": c}
        parts[name] = parts[name].numpy()
        with pytest.raises(TypeError, match=rf"^torch\.sparse_linear: {name} must be a torch\.Tensor"):
            lt.sparse_linear(**parts)
    for name in ("x", "weight"):
        parts = {"x": x, "weight": W}
        parts[name] = parts[name].tolist()
        with pytest.raises(
            TypeError, match=rf"^torch\.matching_pursuit: {name} must be a torch\.Tensor; got list"
        ):
            lt.matching_pursuit(**parts, k=2)
