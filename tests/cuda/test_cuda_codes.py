"""Thresholds, codes and rows made of them on an emulated GPU give the CPU's bits."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from equal import both, draw, equal, upload

import latom
from latom._base import device_rows, device_select
from latom._base.device import DeviceArray

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@TYPES
@pytest.mark.parametrize("shape", [(5, 7, 30), (4, 33, 700), (17, 1, 259)])
def test_above_every_rule(cuda: ModuleType, rng: np.random.Generator, dtype: Any, shape: Any) -> None:
    n, d, m = shape
    X, W = draw(rng, n, d, dtype), draw(rng, m, d, dtype)
    W[m // 2 : m // 2 + m // 4] = W[: m // 4]  # ties
    X[0] = 0
    for bar in (1.5, 0.0, -0.5, np.inf, rng.normal(0, 2, n)):
        both(lambda bar=bar, **o: latom.above(X, W, bar, bias=np.arange(m) / m, **o))
        both(lambda bar=bar, **o: latom.above(X, W, bar, metric="cosine", **o))
    for bar in (-float(d), -1e-3, 0.0, rng.uniform(-2 * d, 0, n)):
        both(lambda bar=bar, **o: latom.above(X, W, bar, metric="euclidean", **o))


def test_scores_at_the_threshold_are_not_above_it(cuda: ModuleType, rng: np.random.Generator) -> None:
    """Thresholds that are scores themselves, to the last bit of float64."""
    X, W = draw(rng, 4, 21, np.float64), draw(rng, 90, 21, np.float64)
    for metric in ("dot", "cosine", "euclidean"):
        values, _ = latom.topk(X, W, 40, metric=metric)
        for place in (0, 7, 39):
            bars = values[:, place]
            found = both(lambda m=metric, b=bars, **o: latom.above(X, W, b, metric=m, **o))
            assert (np.diff(found.indptr) == place).all()


def test_above_with_more_matches_than_there_is_room_for(
    cuda: ModuleType, rng: np.random.Generator, order: str
) -> None:
    X, W = draw(rng, 3, 6, np.float32), draw(rng, 1500, 6, np.float32)
    X[1] *= 1e-3
    found = both(lambda **o: latom.above(X, W, np.array([-50.0, 0.0, 4.0]), **o))
    assert found.indptr[1] == 1500
    both(lambda **o: latom.above(X, W, -np.inf, **o))


def test_above_in_chunks_and_blocks(
    cuda: ModuleType, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_select, "CHUNK_ROWS", 5)
    monkeypatch.setattr(device_rows, "BLOCK_BYTES", 64 * 4 * 3)
    X, W = draw(rng, 150, 3, np.float32), draw(rng, 40, 3, np.float32)
    both(lambda **o: latom.above(X, W, 2.0, **o))
    assert both(lambda **o: latom.above(X, W, 1e3, **o)).nnz == 0


@TYPES
@pytest.mark.parametrize("activation", ["relu", "topk-relu", "identity", "abs"])
def test_encode(cuda: ModuleType, rng: np.random.Generator, dtype: Any, activation: str) -> None:
    X, W = draw(rng, 9, 12, dtype), draw(rng, 80, 12, dtype)
    X[3] = 0
    W[40:50] = W[:10]
    bias, center = rng.standard_normal(80), rng.standard_normal(12)
    for b_enc, b_pre in ((None, None), (bias, None), (None, center), (bias - 2, center)):
        found = both(
            lambda e=b_enc, p=b_pre, **o: latom.encode(X, W, 7, b_enc=e, b_pre=p, activation=activation, **o)
        )
        there = latom.encode(upload(X), upload(W), 7, b_enc=b_enc, b_pre=b_pre, activation=activation)
        equal(there, found)


def test_tokens_and_halves(cuda: ModuleType, rng: np.random.Generator) -> None:
    X, W = rng.standard_normal((2, 3, 8)).astype(np.float16), draw(rng, 50, 8, np.float32)
    both(lambda **o: latom.encode(X, W, 4, **o))
    both(lambda **o: latom.above(X, W, 1.0, **o))
    values, indices = both(lambda **o: latom.topk(X, W, 4, **o))
    assert values.shape == (2, 3, 4)
    both(lambda **o: latom.decode((values, indices), W, **o))


@TYPES
def test_the_encoder(cuda: ModuleType, rng: np.random.Generator, dtype: Any, order: str) -> None:
    X, W = draw(rng, 11, 9, dtype), draw(rng, 60, 9, dtype)
    options = {"W_dec": draw(rng, 60, 9, dtype), "b_enc": rng.standard_normal(60), "b_pre": np.ones(9)}
    for rescale in (False, True):
        here = latom.TopKEncoder(W, 5, rescale_by_decoder_norm=rescale, **options)
        there = latom.TopKEncoder(W, 5, rescale_by_decoder_norm=rescale, device="cuda", **options)
        equal(there.transform(X), here.transform(X))
        equal(there.transform(X[:4]), here.transform(X[:4]))  # with the atoms of the call before
        equal(here.transform(upload(X)), here.transform(X))
    dense = latom.TopKEncoder(W, 5, sparse_output=False, device="cuda").transform(X)
    equal(dense, latom.TopKEncoder(W, 5, sparse_output=False).transform(X))


@TYPES
def test_decode(cuda: ModuleType, rng: np.random.Generator, dtype: Any, order: str) -> None:
    W, bias = draw(rng, 40, 300, dtype), rng.standard_normal(300)
    values, indices = draw(rng, 6, 5, dtype), rng.integers(0, 40, (6, 5))
    for at in (indices, indices.astype(np.int32), indices.astype(np.uint8)):
        both(lambda at=at, **o: latom.decode((values, at), W, **o))
        both(lambda at=at, **o: latom.decode((values, at), W, b_pre=bias, **o))
    found = latom.decode((upload(values), upload(indices)), upload(W), b_pre=bias)
    assert isinstance(found, DeviceArray)
    equal(found.to_numpy(), latom.decode((values, indices), W, b_pre=bias))


def test_what_codes_refuse(cuda: ModuleType, rng: np.random.Generator) -> None:
    X, W = draw(rng, 3, 4, np.float32), draw(rng, 20, 4, np.float32)
    with pytest.raises(ValueError, match=r"decode: codes must have indices in \[0, 20\).* row 1"):
        latom.decode((X, np.array([[0, 1, 2, 3], [0, 1, 20, 3], [-1, 0, 1, 2]])), W, device="cuda")
    with pytest.raises(ValueError, match=r"decode: codes, W_dec and b_pre must be finite.* row 2"):
        latom.decode((X[:, :2] * [[1], [1], [np.inf]], np.zeros((3, 2), int)), W, device="cuda")
    with pytest.raises(ValueError, match="decode: codes must be the pair"):
        latom.decode(sp.csr_array(np.ones((2, 20))), W, device="cuda")
    with pytest.raises(ValueError, match="above: threshold must be a number; got NaN at 1"):
        latom.above(X, W, [0.0, np.nan, 1.0], device="cuda")
    with pytest.raises(ValueError, match="above: X must hold finite numbers"):
        latom.above(np.full((2, 4), np.nan), W, 0.0, device="cuda")
    with pytest.raises(ValueError, match="encode: k must"):
        latom.encode(X, W, 21, device="cuda")
    with pytest.raises(ValueError, match="encode: device must be the one that all arrays lie on"):
        latom.encode(upload(X), W, 2)
    for call in (lambda: latom.topk(X * 1e25, W * 1e25, 2, device="cuda"),):
        with pytest.raises(ValueError, match="topk: X and atoms must have scores that float32 holds"):
            call()
    with pytest.raises(ValueError, match="above: X and atoms must have scores that float32 holds"):
        latom.above(X * 1e25, W * 1e25, 0.0, device="cuda")


def test_memory_that_is_not_there(cuda: ModuleType, rng: np.random.Generator) -> None:
    from latom._base.device import place_of

    place = place_of("test", "cuda")
    assert place is not None
    with pytest.raises(MemoryError, match=r"cuda:0 must have \d+ bytes of free memory.*got \d+ of \d+"):
        place.memory(1 << 62)
