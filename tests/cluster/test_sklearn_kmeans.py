"""scikit-learn's own tests of KMeans and MiniBatchKMeans, run on latom's classes."""

from __future__ import annotations

from pathlib import Path

import host_suite
import pytest

_LINES = "verbose prints latom's lines: class, iteration, objective, labels changed, centers moved, seconds"
_PRIVATE = "calls the private method _init_centroids; latom.kmeans_plusplus is tested for what it asks"
_CONTAINER = (
    "greedy k-means++ draws other rows from CSR than from a dense array, and mini-batches end elsewhere"
)

# Reviewed differences: what may fail, and why.
EXPECTED = {
    "test_kmeans_verbose[0.01-lloyd]": _LINES,
    "test_kmeans_verbose[0.01-elkan]": _LINES,
    "test_kmeans_verbose[0-lloyd]": _LINES,
    "test_kmeans_verbose[0-elkan]": _LINES,
    "test_sample_weight_init[42-k-means++]": _PRIVATE,
    "test_sample_weight_init[42-random]": _PRIVATE,
    "test_sample_weight_zero[42-k-means++]": _PRIVATE,
    "test_sample_weight_zero[42-random]": _PRIVATE,
    "test_dense_sparse[42-MiniBatchKMeans-X_csr0]": _CONTAINER,
    "test_dense_sparse[42-MiniBatchKMeans-X_csr1]": _CONTAINER,
}


@pytest.mark.slow
def test_scikit_learn_tests_pass_but_for_reviewed_differences(tmp_path: Path) -> None:
    module = "sklearn.cluster.tests.test_k_means"
    pytest.importorskip(module)
    host_suite.check(tmp_path, Path(__file__).parent / "swap_kmeans.py", [module], EXPECTED, 241)
