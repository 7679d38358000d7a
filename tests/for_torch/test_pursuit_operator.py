"""Matching pursuit as an operator of torch: values, gradients, registrations, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import latom

torch = pytest.importorskip("torch")

import latom.torch as lt  # noqa: E402

KINDS = [{}, {"orthogonal": True}, {"positive": True}]


def tensors(n=9, d=6, m=14, dtype=torch.float64):
    torch.manual_seed(3)
    return torch.randn(n, d, dtype=dtype, requires_grad=True), torch.randn(
        m, d, dtype=dtype, requires_grad=True
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_those_of_the_functions(kind, dtype):
    x, W = tensors(dtype=dtype)
    values, indices = lt.matching_pursuit(x.reshape(3, 3, 6), W, k=4, **kind)
    assert values.shape == indices.shape == (3, 3, 4)
    codes = torch.zeros(9, 14, dtype=dtype).scatter_add_(
        1, indices.reshape(9, 4), values.detach().reshape(9, 4)
    )
    options = {key: value for key, value in kind.items() if key != "orthogonal"}
    run = latom.orthogonal_matching_pursuit if "orthogonal" in kind else latom.matching_pursuit
    want = run(x.detach().numpy(), W.detach().numpy(), 4, **options).toarray()
    assert np.array_equal(codes.numpy(), want)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind):
    x, W = tensors()
    with torch.no_grad():
        x[4] = 0
        x[5] = 2 * W[3]  # nothing is left after a step

    def rows(x, W):
        values, indices = lt.matching_pursuit(x, W, k=4, **kind)
        return values[[0, 1, 2, 3, 6, 7, 8]], lt.sparse_linear(values, indices, W)[:4]

    assert torch.autograd.gradcheck(rows, (x, W), atol=1e-6)
    values, _ = lt.matching_pursuit(x, W, k=4, **kind)
    for part in torch.autograd.grad(values.sum(), (x, W)):
        assert torch.isfinite(part).all()


def test_many_rows_and_few(monkeypatch):
    x, W = tensors(n=40)
    whole = torch.autograd.grad(lt.matching_pursuit(x, W, k=3)[0].sum(), (x, W))
    monkeypatch.setattr("latom.torch.pursuit._ROWS", 7)
    for a, b in zip(whole, torch.autograd.grad(lt.matching_pursuit(x, W, k=3)[0].sum(), (x, W)), strict=True):
        torch.testing.assert_close(a, b)
    assert lt.matching_pursuit(x[:0], W, k=3)[0].shape == (0, 3)


def test_opcheck():
    x, W = tensors()
    ops = torch.ops.latom
    for orthogonal in (True, False):
        torch.library.opcheck(ops.pursuit.default, (x, W, 4, orthogonal, False))
        values, indices = (part.detach() for part in ops.pursuit(x, W, 4, orthogonal, False))
        given = (x.detach(), W.detach(), values, indices, torch.ones_like(values), orthogonal, False)
        torch.library.opcheck(ops.pursuit_backward.default, given)


def test_wrong_arguments_are_refused():
    x, W = tensors()
    for given, words in (
        ({"k": 0}, "k must be"),
        ({"k": 15}, "k must be"),
        ({"k": 2, "positive": True, "orthogonal": True}, "positive must be False"),
        ({"k": 2, "orthogonal": 1.5}, "orthogonal must be"),
    ):
        with pytest.raises((ValueError, TypeError), match=f"^torch.matching_pursuit: {words}"):
            lt.matching_pursuit(x, W, **given)
    with pytest.raises(ValueError, match="weight must have shape"):
        lt.matching_pursuit(x, W.T, k=1)
    with pytest.raises(ValueError, match="x must be on the CPU"):
        lt.matching_pursuit(x.to("meta"), W.to("meta"), k=1)
