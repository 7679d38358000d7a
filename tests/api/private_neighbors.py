"""Private functions of neighbors and distances: arguments that fit, and extents that may be others."""

from __future__ import annotations

from typing import Any

import numpy as np
from private_parts import blocks, context, csr, dense, f32, f64, growing

from latom import _core


def documents() -> Any:
    return _core.DocumentSearch(context, csr(), "euclidean")


def measured() -> Any:
    return _core.CenterDistances(context, dense(3), "euclidean")


def atoms() -> Any:
    return _core.AtomIndex(context, f32(9, 6))


WHO = {"allowed": np.array([1, 0, 1, 1], np.uint8), "without": np.array([3, 0, 0, 1])}

# name: (function, arguments, or what makes those of the variant in force, and what may have other extents)
CALLS: dict[str, tuple[Any, Any, set[str]]] = {
    "DocumentSearch": (
        lambda context, documents: _core.DocumentSearch(context, documents, "cosine").topk(
            context, documents, 2
        ),
        {"documents": csr()},
        {"documents.d"},
    ),
    "DocumentSearch.topk": (
        lambda context, **given: documents().topk(context, k=3, **given),
        {"X": csr()} | WHO,
        set(),
    ),
    "DocumentSearch.above": (
        lambda context, **given: documents().above(context, **given),
        {"X": dense(), "threshold": f64(4) - 2} | WHO,
        set(),
    ),
    "CenterDistances": (
        lambda context, centers: _core.CenterDistances(context, centers, "cosine").run(context, centers),
        {"centers": dense(3)},
        {"centers.d"},
    ),
    "CenterDistances.run": (lambda context, X: measured().run(context, X), {"X": dense()}, set()),
    "CenterDistances.nearest": (lambda context, X: measured().nearest(context, X), {"X": csr()}, set()),
    "AtomIndex.topk": (lambda context, X: atoms().topk(context, X, 2), {"X": dense()}, set()),
    "AtomIndex.nearest": (lambda context, X: atoms().nearest(context, X), {"X": dense()}, set()),
    "Dictionary.pursue": (lambda context, X: growing().pursue(context, X, 2), {"X": dense()}, set()),
    "Dictionary.grow": (
        lambda context, X: growing().grow(context, X, 2, False, 0.1, 20),
        {"X": dense()},
        set(),
    ),
    "Lloyd.set_centers": (
        lambda context, centers: _core.Lloyd(context, dense(), None, "cosine").set_centers(centers, True),
        {"centers": dense(3)},
        set(),
    ),
    "BlockLloyd.set_centers": (
        lambda context, centers: blocks().set_centers(context, centers),
        {"centers": dense(3)},
        set(),
    ),
}
