"""Labels and scores that another device finds, in the place of an assignment of the core's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from latom import _core
from latom._base.backend import call
from latom._base.rows import Rows


def rule(X: Any, centers: Any, labels: Any, metric: str) -> Any:
    """Float64 scores of rows with the centers of their labels, in the order of csrc/kernels/dot.inl.h."""
    own = np.empty(X.shape[0])
    for i, j in enumerate(labels):
        row, center = X[[i]], centers[[j]]
        dense, values = center.toarray()[0].astype(np.float64), center.data.astype(np.float64)
        dot = in_order(row.data.astype(np.float64) * dense[row.indices])
        norm2 = in_order(values * values)
        own[i] = dot * (1 / np.sqrt(norm2)) if metric == "cosine" else dot + -0.5 * norm2
    return own


def found_by_plan(plan: Any, X: Any, centers: Any, labels: Any, metric: str) -> Any:
    """What another device would find of a plan; labels: the nearest of all centers."""
    order, width, known, own = plan
    scores = np.stack([rule(X, centers, np.full(X.shape[0], j), metric) for j in range(6)], axis=1)
    label, others = known.copy(), np.zeros(len(own))
    for i in np.flatnonzero(width):
        seen = set(order[: width[i]].tolist()) | ({int(known[i])} if known[i] >= 0 else set())
        assert labels[i] in seen
        label[i], own[i] = labels[i], scores[i, labels[i]]
        others[i] = max(scores[i, j] for j in seen if j != labels[i])
    np.testing.assert_array_equal(label, labels)
    np.testing.assert_array_equal(own, scores[np.arange(len(own)), labels])
    return label, own, others


def in_order(products: Any) -> float:
    part = [0.0] * 8
    for p, product in enumerate(products):
        part[p % 8] += float(product)
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_with_adopted_labels(rng: np.random.Generator, metric: str, dtype: Any) -> None:
    X = sp.csr_array(rng.standard_normal((60, 25)) * (rng.random((60, 25)) < 0.3)).astype(dtype)
    weights, context, rows = rng.uniform(0.5, 2, 60), call("test"), Rows("test", X)
    start = Rows("test", sp.vstack([X[:5], X[4:5]], format="csr"))
    runs = [_core.Lloyd(context, rows.core, weights, metric) for _ in range(2)]
    for run in runs:
        run.set_centers(start.core, metric == "cosine")
    plain, adopting = runs
    for step in range(4):
        indptr, indices, values = plain.centers()
        centers = sp.csr_array((values, indices, indptr), shape=(6, 25))
        found = plain.assign()
        labels = plain.labels()
        if step == 2:  # one follows on the other
            again = adopting.assign()
        else:
            again = adopting.adopt(*found_by_plan(adopting.plan(), X, centers, labels, metric))
        assert again[:2] == found[:2]
        np.testing.assert_array_equal(adopting.labels(), labels)
        np.testing.assert_array_equal(adopting.scores(), plain.scores())
        assert adopting.inertia() == plain.inertia()
        assert adopting.update() == plain.update()
        for one, other in zip(adopting.centers(), plain.centers(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_what_is_refused(rng: np.random.Generator) -> None:
    X = rng.standard_normal((9, 3))
    rows, context = Rows("test", sp.csr_array(X)), call("test")
    run, others = _core.Lloyd(context, rows.core, None, "cosine"), np.zeros(9)
    with pytest.raises(RuntimeError, match="of CSR rows with centers"):
        run.plan()
    run.set_centers(Rows("test", sp.csr_array(X[:2])).core, True)
    _, width, label, own = run.plan()
    assert (width == 2).all()
    assert (label == -1).all()
    with pytest.raises(ValueError, match="must be of all rows"):
        run.adopt(label[:8], own, others)
    for stray in (-1, 2):
        run.plan()
        with pytest.raises(ValueError, match="must be of centers"):
            run.adopt(np.full(9, stray, np.int32), own, others)
    run.set_centers(Rows("test", sp.csr_array(X[:2])).core, True)
    with pytest.raises(RuntimeError, match="plan must come first"):
        run.adopt(label, own, others)
    dense = _core.Lloyd(context, Rows("test", X).core, None, "cosine")
    dense.set_centers(Rows("test", X[:2]).core, True)
    with pytest.raises(RuntimeError, match="of CSR rows"):
        dense.plan()
