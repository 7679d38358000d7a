"""Private functions of rows, clusters and seeds: arguments that fit, and extents that may be others."""

from __future__ import annotations

from typing import Any

import numpy as np
from private_parts import (
    INDICES,
    INDPTR,
    batches,
    blocks,
    csr,
    dense,
    f32,
    f64,
    ints,
    prepare_csr,
)

from latom import _core
from latom._base.backend import call


def planned() -> Any:
    """A run on CSR whose next labels another device is to find."""
    run = _core.Lloyd(call("test"), csr(), None, "cosine")
    run.set_centers(csr().subset(call("test"), np.array([0, 1])), True)
    run.plan()
    return run


# name: (function, arguments, or what makes those of the variant in force, and what may have other extents)
CALLS: dict[str, tuple[Any, Any, set[str]]] = {
    "prepare": (_core.prepare, {"X": f32(4, 6)}, {"X.0", "X.1"}),
    # Entries beyond those that indptr names are capacity.
    "prepare of CSR": (
        prepare_csr,
        {"indptr": INDPTR, "indices": INDICES, "data": f32(5)},
        {"indices.0+", "data.0+"},
    ),
    "widen": (_core.widen, {"half": ints(3, 4, dtype=np.uint16), "storage": "float16"}, {"half.0", "half.1"}),
    "Rows.subset": (dense().subset, {"chosen": np.array([3, 0, 0])}, {"chosen.0"}),
    "Lloyd": (_core.Lloyd, {"X": dense(), "weights": f64(4), "metric": "cosine"}, {"X.d"}),
    "Lloyd.adopt": (
        lambda context, **given: planned().adopt(**given),
        {"label": np.array([1, 0, 1, 1], np.int32), "own": f64(4), "others": f64(4)},
        set(),
    ),
    "BlockLloyd.assign": (
        lambda context, **given: blocks().assign(context, first=0, longest=1e3, heaviest=9.0, **given),
        {
            "X": dense(),
            "weights": f64(4),
            "before": np.array([1, 2, 0, -1], np.int32),
            "sum": ints(3, 3, 6, dtype=np.int64),
            "weight": ints(3, 3, dtype=np.int64),
        },
        set(),
    ),
    "cluster_parts": (
        _core.cluster_parts,
        {
            "X": dense(),
            "weights": f64(4),
            "before": np.array([1, 2, 0, -1], np.int32),
            "labels": np.array([0, 2, -1, 0], np.int32),
            "n_clusters": 3,
            "metric": "euclidean",
            "longest": 1e3,
            "heaviest": 9.0,
        },
        {"X.d"},
    ),
    "merge_parts": (
        _core.merge_parts,
        {
            "indptr": INDPTR,
            "indices": INDICES,
            "sum": ints(5, 2, dtype=np.int64),
            "other_indptr": INDPTR,
            "other_indices": INDICES,
            "other_sum": ints(5, 2, dtype=np.int64),
            "minus": False,
        },
        set(),
    ),
    "next_centers": (
        _core.next_centers,
        {
            "centers": dense(3),
            "indptr": None,
            "indices": None,
            "sum": ints(3, 2, 6, dtype=np.int64),
            "weight": ints(3, 3, dtype=np.int64),
            "metric": "euclidean",
            "longest": 1.0,
            "heaviest": 1.0,
        },
        set(),
    ),
    "sums_objective": (
        _core.sums_objective,
        {
            "centers": dense(3),
            "sum": ints(3, 2, 6, dtype=np.int64),
            "weight": ints(3, 3, dtype=np.int64),
            "metric": "euclidean",
            "longest": 1.0,
            "heaviest": 1.0,
            "squares": 1.0,
        },
        set(),
    ),
    "next_centers of CSR": (
        lambda context, **given: _core.next_centers(context, csr(), **given),
        {
            "indptr": INDPTR,
            "indices": INDICES,
            "sum": ints(5, 2, dtype=np.int64),
            "weight": ints(4, 3, dtype=np.int64),
            "metric": "euclidean",
            "longest": 1.0,
            "heaviest": 1.0,
        },
        set(),
    ),
    "MiniBatch": (
        _core.MiniBatch,
        {"centers": dense(3), "counts": f64(3), "metric": "cosine", "normalize": True},
        {"centers.d"},
    ),
    "MiniBatch.step": (
        lambda context, weights: batches().step(context, dense(), weights),
        {"weights": f64(4)},
        set(),
    ),
    "MiniBatch.replace": (
        lambda context, rows, clusters: batches().replace(context, dense(), rows, clusters),
        {"rows": np.array([3, 1]), "clusters": np.array([0, 2])},
        set(),
    ),
    "MiniBatch.set_counts": (lambda context, counts: batches().set_counts(counts), {"counts": f64(3)}, set()),
    "kmeans_plusplus": (
        _core.kmeans_plusplus,
        {"X": dense(), "n_clusters": 2, "weights": f64(4), "metric": "euclidean"},
        {"X.d"},
    ),
    "kmeans_batch": (
        _core.kmeans_batch,
        {
            "X": dense(),
            "offsets": np.array([0, 1, 1, 4]),
            "center_offsets": np.array([0, 1, 1, 3]),
            "metric": "cosine",
            "start": "centers",
            "max_iter": 3,
            "tol": 0.0,
            "n_init": 2,
            "weights": f64(4),
            "fixed": np.array([-1, 1, -1, 0], np.int32),
            "labels": np.array([0, 1, 1, 0], np.int32),
            "centers": f32(3, 6),
            "seeds": ints(3, 2, dtype=np.uint64),
            "wide": False,
        },
        set(),
    ),
    "ward_batch": (
        _core.ward_batch,
        {
            "X": dense(),
            "offsets": np.array([0, 1, 1, 4]),
            "metric": "euclidean",
            "n_clusters": np.array([1, 1, 2]),
            "height": 0.0,
            "linkage": True,
            "wide": False,
        },
        {"X.d"},
    ),
    "maxsim": (
        _core.maxsim,
        {
            "queries": dense(),
            "query_offsets": np.array([0, 1, 1, 4]),
            "documents": dense(3),
            "document_offsets": np.array([0, 0, 3]),
            "k": 2,
            "wide": False,
        },
        {"query_offsets.0+", "document_offsets.0+"},  # one more that is empty
    ),
    "silhouette": (
        _core.silhouette,
        {"X": dense(), "labels": np.array([0, 1, 1, 0], np.int32), "n_clusters": 2, "metric": "euclidean"},
        {"X.d"},
    ),
    "davies_bouldin": (
        _core.davies_bouldin,
        {"X": dense(), "labels": np.array([0, 1, 1, 0], np.int32), "n_clusters": 2},
        {"X.d"},
    ),
    "afkmc2": (
        _core.afkmc2,
        {"X": dense(), "n_clusters": 2, "chain": 5, "weights": f64(4), "metric": "cosine"},
        {"X.d"},
    ),
    "parallel_candidates": (
        _core.parallel_candidates,
        {"X": csr(), "n_clusters": 2, "amount": 2.0, "rounds": 2, "weights": f64(4), "metric": "cosine"},
        {"X.d"},
    ),
    "coreset": (
        _core.coreset,
        {"X": csr(), "size": 3, "rough_centers": 2, "weights": f64(4), "metric": "cosine"},
        {"X.d"},
    ),
    "weighted_sample": (
        _core.weighted_sample,
        {"weights": f64(4), "size": 9, "replacement": True},
        {"weights.0"},
    ),
}
