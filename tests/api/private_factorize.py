"""Private functions of factorization: arguments that fit, and extents that may be others."""

from __future__ import annotations

from typing import Any

import numpy as np
from private_parts import INDICES, INDPTR, Products, csr, f32, f64, masked, square

from latom import _core

# name: (function, arguments, or what makes those of the variant in force, and what may have other extents)
CALLS: dict[str, tuple[Any, Any, set[str]]] = {
    "least_squares_rows": (
        _core.least_squares_rows,
        {
            "X": csr(),
            "V": f32(6, 3),
            "G": np.eye(3),
            "ridge": f64(4) + 1,
            "out": f32(4, 3),
            "rule": "observed",
        }
        | {"offsets": f32(6)},
        set(),
    ),
    "least_squares_block": (
        _core.least_squares_block,
        {"X": csr(), "V": f32(6, 3), "G": np.eye(3), "ridge": f64(4) + 1, "out": f32(4, 3)}
        | {"predictions": f32(5), "first": 1, "width": 2, "rule": "observed", "offsets": f32(6)},
        set(),
    ),
    "predict_stored": (_core.predict_stored, {"X": csr(), "V": f32(6, 3), "U": f32(4, 3)}, set()),
    "predict_pairs": (
        _core.predict_pairs,
        {"U": f32(4, 3), "V": f32(6, 3), "rows": np.array([0, 3]), "columns": np.array([5, 0])},
        {"U.0+", "V.0+"},
    ),
    "multiply": (_core.multiply, {"X": csr(), "F": f32(6, 3), "out": f32(4, 3)}, set()),
    "multiply_transposed": (
        _core.multiply_transposed,
        {"X": csr(), "W": f32(4, 3), "out": f32(6, 3)},
        set(),
    ),
    "kullback_step": (
        _core.kullback_step,
        {"X": csr(), "A": f32(4, 3), "F": f32(6, 3), "sums": f64(3), "by_columns": False},
        set(),
    ),
    "gram": (_core.gram, {"V": f32(9, 3)}, {"V.0", "V.1"}),
    "column_sums": (_core.column_sums, {"V": f32(9, 3)}, {"V.0", "V.1"}),
    "coordinate_sweep": (
        _core.coordinate_sweep,
        {"G": f64(3, 3), "P": f32(4, 3), "X": f32(4, 3), "out": f32(4, 3)},
        set(),
    ),
    "sweep_masked": (_core.sweep_masked, masked(), {"indices.0+", "F.0+"}),
    "extrapolate": (_core.extrapolate, {"X": f32(4, 3), "old": f32(4, 3), "beta": 0.5}, set()),
    "factorize_small": (
        _core.factorize_small,
        {
            "X": f32(2, 5, 4),
            "W": f32(2, 5, 3),
            "F": f32(2, 4, 3),
            "sweeps": 1,
            "inner_tol": 0.0,
            "tol": 0.0,
            "max_iter": 2,
        },
        set(),
    ),
    "factorize_replicates": (
        _core.factorize_replicates,
        {"X": csr(), "k": [2, 3], "stream": [0, 1], "start": [0, 0], "noise": 0.1, "tol": 0.0, "mean": 1.0}
        | {"max_iter": 2, "sweeps": 1, "inner_tol": 0.0, "H": f32(5, 6)},
        set(),
    ),
    "keep_largest": (_core.keep_largest, {"X": f32(4, 3), "k": 2}, {"X.0", "X.1"}),
    "multiply_sparse": (
        _core.multiply_sparse,
        {"X": f32(7, 6), "indptr": INDPTR, "indices": INDICES, "values": f32(5)},
        {"X.0", "X.1+", "indptr.0", "indices.0+", "values.0+"},
    ),
    "orthonormalize": (_core.orthonormalize, {"Y": f32(40, 16)}, {"Y.0"}),
    "weighted_rows": (
        _core.weighted_rows,
        {"X": csr(), "weights": f32(5), "F": f32(6, 3), "l2": 1.0},
        {"F.1"},
    ),
    "randomized_svd": (
        _core.randomized_svd,
        {"X": csr(), "k": 2, "oversamples": 10, "iterations": 2, "start": f32(6, 4)},
        set(),
    ),
    "randomized_svd_of": (
        _core.randomized_svd_of,
        {"products": Products(), "n": 4, "d": 6, "wide": False, "k": 2, "oversamples": 1, "iterations": 2}
        | {"start": f32(6, 3)},
        set(),
    ),
    "projected_powers": (
        _core.projected_powers,
        {"A": square(), "width": 3, "density": 0.5, "factor": f64(4), "weights": [1.0, 2.0]}
        | {"transition": True, "normalize": False, "concatenate": False}
        | {"from_start": False, "standardize": True},
        set(),
    ),
    "solve_columns": (_core.solve_columns, {"G": np.eye(3), "B": f64(3, 5)}, {"B.1"}),
    "refit_supports": (_core.refit_supports, {"G": np.eye(3), "B": f64(3, 5), "H": f64(3, 5)}, set()),
    "pair_epoch": (
        _core.pair_epoch,
        {
            "indptr": INDPTR,
            "indices": INDICES,
            "weights": f32(5),
            "loss": "nbpo",
            "negatives": 2,
            "unlabelled": 1.0,
            "epoch": 0,
            "rows": f32(4, 16),
            "columns": f32(6, 16),
            "rate": 0.1,
            "decay": 0.1,
            "noise_rows": f32(4, 32),
            "noise_columns": f32(6, 32),
        },
        set(),
    ),
}

if hasattr(_core, "solve_rows"):
    CALLS["solve_rows"] = (
        _core.solve_rows,
        {
            "X": f32(4, 6),
            "H": f32(3, 6),
            "G": np.eye(3),
            "P": f32(4, 3),
            "W": f32(4, 3),
            "curvature": 1.0,
            "sweeps": 2,
            "inner_tol": 0.0,
        },
        set(),
    )
