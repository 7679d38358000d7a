"""maxsim against its statement in float64."""

from __future__ import annotations

import numpy as np
import pytest

import latom


def plain(queries, documents, k):
    scores = np.array(
        [[(q @ D.T).max(axis=1).sum() if len(D) and len(q) else 0.0 for D in documents] for q in queries]
    )
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


@pytest.mark.parametrize("threads", [1, 5])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_exact(dtype, threads, isa, rng):
    lengths = rng.integers(0, 90, 40)
    documents = [rng.standard_normal((n, 21)).astype(dtype) for n in lengths]
    queries = [rng.standard_normal((n, 21)).astype(dtype) for n in (1, 0, 32, 33)]
    wide = lambda parts: [part.astype(float) for part in parts]  # noqa: E731
    want, order = plain(wide(queries), wide(documents), 7)
    scores, indices = latom.maxsim(queries, documents, 7, n_threads=threads)
    assert (indices == order).all()
    assert np.allclose(scores, want, rtol=1e-12)


def test_near_ties_and_extremes(rng):
    """Documents that float32 cannot tell apart, equal documents, and lengths far from 1."""
    base = rng.standard_normal((20, 16))
    documents = [base + 1e-9 * rng.standard_normal((20, 16)) for _ in range(30)]
    documents[20] = documents[4]
    queries = [rng.standard_normal((9, 16)) for _ in range(3)]
    for scale in (1.0, 1e60, 1e-60):
        want, _order = plain(queries, documents, 30)
        scores, indices = latom.maxsim(queries, [scale * D for D in documents], 30)
        assert np.allclose(scores, scale * want, rtol=1e-12)
        assert (np.diff(scores, axis=1) <= 0).all()
        if scale == 1:
            assert np.allclose(
                np.take_along_axis(plain(queries, documents, 30)[0], indices.argsort(1).argsort(1), 1), want
            )
            assert ((indices == 4).argmax(1) == (indices == 20).argmax(1) - 1).all()


def test_refusals(rng):
    X = rng.standard_normal((2, 3, 4))
    with pytest.raises(ValueError, match=r"^maxsim: k must be an integer in \[1, 2\]"):
        latom.maxsim(X, X, 3)
    with pytest.raises(ValueError, match=r"^maxsim: queries must have 4 columns"):
        latom.maxsim(X[..., :3], X, 1)
