"""latom.compat.sentence_transformers: what the host's pooling computes, by its statement and by itself."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

torch = pytest.importorskip("torch", reason="torch is not installed")

from latom.compat.sentence_transformers import hierarchical_pool, hierarchical_pool_one  # noqa: E402


def plain(rows, factor, protected):
    """In float64: Ward on 1 - cosine, means of its clusters, all at length 1."""
    kept, free = rows[:protected], rows[protected:]
    m = max(int(len(free) // factor), 1)
    if m < len(free):
        distance = np.clip(1 - free @ free.T, 0, 2)
        labels = fcluster(linkage(squareform(distance, checks=False), "ward"), m, "maxclust")
        _, first = np.unique(labels, return_index=True)
        free = np.array([free[labels == labels[i]].mean(axis=0) for i in np.sort(first)])
    out = np.concatenate([kept, free])
    return out / np.linalg.norm(out, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("factor", "protected"), [(4, 1), (1.5, 0), (1, 1), (100, 2)])
def test_what_the_host_computes(dtype, factor, protected, rng):
    documents = [rng.standard_normal((n, 24)) for n in (60, 1, 2, 33)]
    documents = [
        torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True)).to(dtype) for rows in documents
    ]
    found = hierarchical_pool(documents, factor, protected)
    for rows, pooled in zip(documents, found, strict=True):
        wide = rows.double().numpy()
        wide = wide / np.linalg.norm(wide, axis=1, keepdims=True)
        assert pooled.dtype == dtype
        assert np.allclose(
            pooled.double(), plain(wide, factor, protected), atol=2e-2 if dtype == torch.bfloat16 else 1e-6
        )
        assert torch.equal(pooled, hierarchical_pool_one(rows, factor, protected))


def test_gradients_flow_through_means(rng):
    rows = torch.from_numpy(rng.standard_normal((12, 5))).requires_grad_()
    hierarchical_pool_one(rows, 3, 1, False).sum().backward()
    assert (rows.grad > 0).all()
    with pytest.raises(
        ValueError, match=r"^hierarchical_pool: pool_factor must be a finite number of at least 1"
    ):
        hierarchical_pool_one(rows, 0.5, 1)


def test_beside_the_host(rng):
    host = pytest.importorskip("sentence_transformers.multi_vector_encoder.modules.token_pooling")
    from latom.compat.sentence_transformers import HierarchicalTokenPooling

    own, theirs = HierarchicalTokenPooling(pool_factor=4), host.HierarchicalTokenPooling(pool_factor=4)
    seam = inspect.signature(host._hierarchical_pool_one).parameters
    assert list(seam) == list(inspect.signature(hierarchical_pool_one).parameters)
    documents = [
        torch.nn.functional.normalize(torch.from_numpy(rng.standard_normal((n, 16))).float(), dim=-1)
        for n in (40, 3)
    ]
    for a, b in zip(own.pool(documents), theirs.pool(documents), strict=True):
        assert torch.allclose(a.sort(dim=0).values, b.sort(dim=0).values, atol=1e-6)
