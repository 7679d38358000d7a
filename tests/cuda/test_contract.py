"""One contract, two devices: what searches, codes and k-means promise, by plain float64 sums."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse as sp
from equal import draw

import latom


def dots(X: Any, W: Any) -> Any:
    """Products in the order of csrc/kernels/dot.inl.h."""
    X, W = X.astype(np.float64), W.astype(np.float64)
    part = [np.zeros((len(X), len(W))) for _ in range(8)]
    for p in range(X.shape[1]):
        part[p % 8] += np.outer(X[:, p], W[:, p])
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))


class Contract:
    """What holds wherever a call runs."""

    options: ClassVar[dict[str, Any]]

    @pytest.fixture
    def data(self, rng: np.random.Generator) -> tuple[Any, Any]:
        X, W = draw(rng, 12, 19, np.float32), draw(rng, 150, 19, np.float32)
        W[70:90] = W[:20]
        return X, W

    def test_topk(self, data: Any) -> None:
        X, W = data
        scores = dots(X, W)
        wanted = np.argsort(-scores, axis=1, kind="stable")[:, :9]
        values, indices = latom.topk(X, W, 9, **self.options)
        np.testing.assert_array_equal(indices, wanted)
        np.testing.assert_array_equal(values, np.take_along_axis(scores, wanted, 1).astype(np.float32))

    def test_above(self, data: Any) -> None:
        X, W = data
        scores = dots(X, W)
        found = latom.above(X, W, 2.5, **self.options)
        wanted = np.where(scores > 2.5, scores, 0).astype(np.float32)
        np.testing.assert_array_equal(found.toarray(), wanted)
        assert found.nnz == (scores > 2.5).sum()

    def test_codes_and_rows(self, data: Any) -> None:
        X, W = data
        codes = latom.encode(X, W, 6, **self.options)
        scores = dots(X, W)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :6]
        wanted = np.zeros_like(scores, dtype=np.float32)
        np.put_along_axis(wanted, order, np.take_along_axis(scores, order, 1).astype(np.float32), 1)
        np.testing.assert_array_equal(codes.toarray(), np.maximum(wanted, 0))
        values, indices = latom.topk(X, W, 6, **self.options)
        rows = np.zeros_like(X)
        for p in range(6):
            rows = rows + values[:, p, None] * W[indices[:, p]]
        np.testing.assert_array_equal(latom.decode((values, indices), W, **self.options), rows)

    def test_assign(self, data: Any) -> None:
        X, W = data
        half = 0.5 * np.diag(dots(W, W))
        labels, scores = latom.assign(X, W, metric="euclidean", **self.options)
        wanted = (dots(X, W) - half).argmax(axis=1)
        np.testing.assert_array_equal(labels, wanted)
        np.testing.assert_allclose(-scores, ((X - W[wanted]).astype(np.float64) ** 2).sum(axis=1), rtol=1e-5)

    def test_csr(self, data: Any) -> None:
        X, W = (rows * (np.abs(rows) > 0.8) for rows in data)
        labels, scores = latom.assign(sp.csr_array(X), sp.csr_array(W), **self.options)
        cosines = dots(X, W) / np.sqrt(np.outer(np.diag(dots(X, X)), np.diag(dots(W, W))))
        np.testing.assert_array_equal(labels, np.nan_to_num(cosines).argmax(axis=1))
        np.testing.assert_allclose(scores, np.nan_to_num(cosines).max(axis=1), rtol=1e-12)
        fitted = latom.SphericalKMeans(3, init=W[:3], max_iter=20, **self.options).fit(sp.csr_array(X))
        np.testing.assert_array_equal(fitted.labels_, fitted.predict(sp.csr_array(X)))
        for j in range(3):
            rows = X[fitted.labels_ == j].astype(np.float64)
            total = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).sum(axis=0)
            found = fitted.cluster_centers_[[j]].toarray()[0]
            np.testing.assert_allclose(found, total / np.linalg.norm(total), rtol=1e-6, atol=1e-7)

    def test_kmeans(self, data: Any) -> None:
        X, W = data
        fitted = latom.KMeans(3, init=W[:3], max_iter=20, **self.options).fit(X)
        np.testing.assert_array_equal(fitted.labels_, fitted.predict(X))
        for j in range(3):
            mean = X[fitted.labels_ == j].astype(np.float64).mean(axis=0)
            np.testing.assert_allclose(fitted.cluster_centers_[j], mean, rtol=1e-6)


class TestOnTheCpu(Contract):
    options: ClassVar[dict[str, Any]] = {"device": "cpu"}


class TestOnTheGpu(Contract):
    options: ClassVar[dict[str, Any]] = {"device": "cuda"}

    @pytest.fixture(autouse=True)
    def emulation(self, cuda: ModuleType) -> None:
        """A GPU for all tests of this class."""
