"""The core's MiniBatch against its plain statement in numpy float64, batch by batch."""

from __future__ import annotations

from typing import Any

import core
import numpy as np
import pytest
import scipy.sparse as sp
from plain_minibatch import PlainMiniBatch, numbers

from latom import _core


def batches(dtype: str, container: str, rng: np.random.Generator) -> tuple[list[Any], Any]:
    """Four batches of rows, one of them with a zero row, and the rows that centers start from."""
    parts = []
    for n in (60, 1, 33, 60, 7):
        x = (rng.standard_normal((n, 23)) * (rng.random((n, 23)) < 0.4)).astype(dtype)
        x[n // 2] = 0 if n > 1 else x[n // 2]
        if container != "dense":
            csr = sp.csr_array(x)
            x = (csr.indptr.astype(np.int64), csr.indices.astype(container), csr.data, csr.shape)
        parts.append(x)
    return [core.rows(x) for x in parts[:4]], core.rows(parts[4])


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("container", ["dense", "int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_are_those_of_the_plain_statement(
    isa: str, dtype: str, container: str, metric: str, n_threads: int, rng: np.random.Generator
) -> None:
    X, start = batches(dtype, container, rng)
    context = core.context("test", n_threads)
    counts = np.array([0.0, 2, 0, 5, 0, 0, 1])
    made = [
        cls(context, start, counts, metric, metric == "cosine") for cls in (_core.MiniBatch, PlainMiniBatch)
    ]
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-12}
    for turn, batch in enumerate(X):
        weights = None if turn % 2 else rng.integers(0, 4, batch.n).astype(float)
        got, expected = (m.step(context, batch, weights) for m in made)
        np.testing.assert_allclose(got, expected, **close)
        ours, plain = made
        assert (ours.labels() == plain.labels()).all()
        np.testing.assert_allclose(ours.scores(), plain.scores(), **close)
        np.testing.assert_array_equal(ours.counts(), plain.counts())
        if turn == 2:
            rows, clusters = np.array([3, 0, 3]), np.array([6, 1, 0])
            changed = np.arange(7.0)
            for m in made:
                m.replace(context, batch, rows, clusters)
                m.set_counts(changed)
        c, e = (as_dense(m.centers()) for m in made)
        assert c.dtype == dtype
        np.testing.assert_allclose(c, e, **close)


def as_dense(centers: Any) -> np.ndarray:
    return (
        sp.csr_array((centers[2], centers[1], centers[0]), shape=(7, 23)).toarray()
        if isinstance(centers, tuple)
        else centers
    )


@pytest.mark.parametrize("container", ["dense", "int32"])
def test_bits_do_not_depend_on_threads(isa: str, container: str) -> None:
    found = []
    for n_threads in (1, 2, 5):
        X, start = batches("float32", container, np.random.default_rng(3))
        context = core.context("test", n_threads)
        steps = _core.MiniBatch(context, start, np.zeros(7), "cosine", True)
        out = [steps.step(context, batch, None) for batch in X]
        found.append((out, as_dense(steps.centers()).tobytes(), steps.scores().tobytes()))
    assert found[0] == found[1] == found[2]


def test_a_cancelled_sum_keeps_its_center() -> None:
    context = core.context()
    steps = _core.MiniBatch(context, core.rows(np.array([[1.0, 0.0]])), np.zeros(1), "cosine", True)
    inertia, shift = steps.step(context, core.rows(np.array([[0.0, 2.0], [0.0, -3.0]])), None)
    assert (inertia, shift) == (2.0, 0.0)
    assert steps.counts() == [2.0]
    np.testing.assert_array_equal(steps.centers(), [[1.0, 0.0]])


def test_the_rows_of_subsets_are_batches(rng: np.random.Generator) -> None:
    X = core.rows(rng.standard_normal((50, 9)))
    context, chosen = core.context(), np.array([4, 40, 4, 11])
    part = core.rows(np.ascontiguousarray(numbers(X)[chosen]))
    found = []
    for batch in (X.subset(context, chosen), part):
        steps = _core.MiniBatch(context, X.subset(context, np.arange(3)), np.zeros(3), "euclidean", False)
        steps.step(context, batch, np.array([1.0, 2, 3, 4]))
        found.append(steps.centers())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.zeros(2)}, r"counts must hold one number per center \(3\); got 2. Pass"),
        ({"rows": np.array([50])}, r"rows must be within \[0, 50\); got 50. Pass"),
        ({"clusters": np.array([-1])}, r"clusters must be within \[0, 3\); got -1. Pass"),
        ({"clusters": np.array([0, 1])}, r"rows must hold one row per cluster \(2\); got 1. Pass"),
        ({"batch": np.zeros((4, 8))}, r"X must have the columns of the centers \(9\); got 8. Pass"),
        ({"batch": np.zeros((4, 9), np.float32)}, "X must have the dtype of the centers"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    given = {"counts": np.zeros(3), "rows": np.array([0]), "clusters": np.array([0]), "batch": None, **change}
    X, context = core.rows(rng.standard_normal((50, 9))), core.context()
    batch = X if given["batch"] is None else core.rows(given["batch"])
    with pytest.raises(ValueError, match=message):  # noqa: PT012
        steps = _core.MiniBatch(context, X.subset(context, np.arange(3)), given["counts"], "cosine", True)
        steps.replace(context, batch, given["rows"], given["clusters"])
        steps.step(context, batch, None)
