"""Private functions of encoding and training: arguments that fit, and extents that may be others."""

from __future__ import annotations

from typing import Any

import numpy as np
from private_parts import (
    CODES,
    INDICES,
    INDPTR,
    MORE,
    dense,
    f32,
    f64,
    growing,
    ints,
    of_codes,
    train_latents,
)

from latom import _core

# name: (function, arguments, or what makes those of the variant in force, and what may have other extents)
CALLS: dict[str, tuple[Any, Any, set[str]]] = {
    "AtomIndex": (_core.AtomIndex, {"atoms": f32(9, 6), "bias": f64(9)}, {"atoms.1"}),
    "AtomIndex.above": (
        lambda context, threshold: _core.AtomIndex(context, f32(9, 6)).above(context, dense(), threshold),
        {"threshold": f64(4)},
        set(),
    ),
    "AtomIndex.topk_without": (
        lambda context, indptr, indices: _core.AtomIndex(context, f32(9, 6)).topk_without(
            context, dense(), 2, indptr, indices
        ),
        {"indptr": INDPTR, "indices": INDICES},
        {"indices.0+"},
    ),
    "same_bytes": (_core.same_bytes, {"a": f32(4, 3), "b": f32(4, 3)}, {"a.0", "a.1", "b.0", "b.1"}),
    "Dictionary": (_core.Dictionary, {"atoms": f32(9, 6), "growable": True}, {"atoms.0", "atoms.1"}),
    "Dictionary.adopt": (
        lambda context, which: growing().adopt(context, dense(), which),
        {"which": np.array([3, 0, 0])},
        {"which.0"},
    ),
    "fold_center": (_core.fold_center, {"atoms": f32(9, 6), "center": f64(6), "bias": f64(9)}, set()),
    "decode": (
        _core.decode,
        {"n": 4, "indptr": INDPTR, "indices": INDICES, "values": f32(5), "W_dec": f32(6, 3), "b_pre": f32(3)},
        {"indices.0+", "values.0+", "W_dec.0+"},
    ),
    "products_at": (of_codes("products_at"), CODES | {"rows": f32(4, 3), "W": f32(6, 3)}, MORE | {"W.0+"}),
    "reconstruct": (
        of_codes("reconstruct"),
        CODES | {"X": f32(4, 3), "W_dec": f32(6, 3), "bias": f32(3), "scale": 1.0, "residual": f32(4, 3)},
        MORE | {"W_dec.0+"},
    ),
    "gather_by_latent": (
        of_codes("gather_by_latent"),
        CODES | {"rows": f32(4, 3), "m": 6},
        MORE | {"rows.1"},
    ),
    "contrast": (
        of_codes("contrast"),
        CODES | {"labels": ints(4), "m": 6, "temperature": 0.2, "weight": 1.0, "slope": f32(5)},
        MORE,
    ),
    "train_latents": (
        train_latents,
        CODES
        | {"slope": f32(5), "residual": f32(4, 3), "X": f32(4, 3), "last": ints(6, dtype=np.int64)}
        | {name: f32(6, 3) for name in ("W", "first", "second")}
        | {name: f32(6) for name in ("b", "b_first", "b_second")},
        MORE,
    ),
}
