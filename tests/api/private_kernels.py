"""Kernels: arguments that fit, and extents that may be others."""

from __future__ import annotations

from typing import Any

import numpy as np
from private_parts import INDICES, csr, f32, f64, ints, k, screened

# name: (function, arguments, or what makes those of the variant in force, and what may have other extents)
CALLS: dict[str, tuple[Any, Any, set[str]]] = {
    "kernels.pull_rows": (
        k.pull_rows,
        {"index": ints(3), "pull": f32(3), "keep": 0.9, "x": f32(16), "F": f32(2, 16)},
        {"F.0"},
    ),
    "kernels.dense_dot": (k.dense_dot, {"x": f32(9), "y": f32(9)}, {"x.0", "y.0"}),
    "kernels.sparse_dot": (
        k.sparse_dot,
        {"x": f32(5), "column": INDICES, "y": f32(6)},
        {"x.0", "column.0", "y.0+"},
    ),
    "kernels.quantize_row": (k.quantize_row, {"a": f32(32), "round_up": True, "drop": 2}, {"a.0-"}),
    "kernels.accumulate": (
        k.accumulate,
        {
            "acc": ints(64),
            "slab": ints(3, 64, dtype=np.int8),
            "line": np.array([0, 1, 2, 2], np.int32),
            "p": ints(4, dtype=np.uint8),
        },
        {"acc.0-", "slab.0+", "slab.1+"},
    ),
    "kernels.sift": (
        k.sift,
        {
            "acc": ints(64, dtype=np.int16),
            "slab": ints(3, 64, dtype=np.uint8),
            "line": np.array([0, 1, 2, 2], np.int32),
            "p": ints(4, dtype=np.uint8),
            "cut": 9,
        },
        {"acc.0-", "slab.0+", "slab.1+"},
    ),
    "kernels.accumulate_group": (
        k.accumulate_group,
        {
            "acc": ints(8),
            "values": ints(2, 8, dtype=np.int8),
            "line": np.array([0, 7, 8, 15], np.int32),
            "line_shift": 3,
            "p": ints(4, dtype=np.uint8),
        },
        {"values.0+"},
    ),
    "kernels.block_max": (
        k.block_max,
        {
            "acc": ints(70),
            "scale": f32(70),
            "bias": f32(70),
            "step": 1.0,
            "shift": 0.0,
            "least": 0.0,
            "bias_scale": 1.0,
        },
        {"acc.0-", "scale.0+", "bias.0+"},
    ),
    "kernels.dense_dots": (k.dense_dots, {"x": f32(5, 9), "y": f32(5, 9)}, set()),
    "kernels.largest_magnitude": (k.largest_magnitude, {"x": f32(19)}, {"x.0"}),
    "kernels.round_row": (k.round_row, {"x": f32(19), "scale": 1.0, "to": "int16"}, {"x.0"}),
    "kernels.interleave": (
        k.interleave,
        {"rows": ints(4, 8, dtype=np.uint32), "cells": 7},
        {"rows.0-", "rows.1+"},
    ),
    "kernels.widen_f16": (k.widen_f16, {"x": ints(19, dtype=np.uint16)}, {"x.0"}),
    "kernels.widen_bf16": (k.widen_bf16, {"x": ints(19, dtype=np.uint16)}, {"x.0"}),
    "kernels.raise_bar": (k.raise_bar, {"v": f32(19), "k": 3, "low": 0.0, "halvings": 4}, {"v.0"}),
    "kernels.drop_below": (
        k.drop_below,
        {"bar": 0.5, "lower": f32(19), "upper": f32(19), "position": ints(19)},
        set(),
    ),
    "kernels.screen_tile": (
        k.screen_tile,
        lambda: screened(*k.tile_shape()[:2]),
        set(),
    ),
    "kernels.pair_bounds": (
        k.pair_bounds,
        {"X": f32(40, 6), "factor": [1.0] * 40, "bias": [], "screen": "auto"},
        {"X.1"},
    ),
    "kernels.score_bounds": (
        k.score_bounds,
        {
            "X": f32(4, 6),
            "atoms": f32(9, 6),
            "factor": [1.0] * 9,
            "bias": [],
            "screen": "auto",
            "magnitude": False,
        },
        {"X.0"},
    ),
    "kernels.gather_add": (
        k.gather_add,
        {"index": INDICES, "value": f32(5), "W": f32(6, 9), "first": 2, "out": f32(7)},
        {"index.0+", "value.0-", "W.0+", "W.1+", "out.0-"},
    ),
    "kernels.transposed_product": (
        k.transposed_product,
        {"X": csr(), "W": f32(4, 3), "rows_per_block": 2},
        {"W.1", "X.d"},
    ),
    "kernels.add_binned": (
        k.add_binned,
        {"x": f32(4, 6), "factor": f64(4), "magic": f64(2), "sum": ints(2, 6, dtype=np.int64)},
        set(),
    ),
    "kernels.best_two": (
        lambda **given: k.best_two(**given),
        lambda: {"x": f32(k.best_rows(), 6), "atoms": f32(9, 6), "bias": f32(9)},
        set(),
    ),
    "kernels.lead": (
        k.lead,
        {
            "dot": f32(9),
            "factor": f64(9),
            "bias": f64(9),
            "slope": f64(9),
            "base": f64(9),
            "length": 1.0,
        },
        set(),
    ),
    "kernels.turn_rows": (
        lambda **given: k.turn_rows(**given),
        lambda: {"x": f32(k.best_rows(), 6), "origin": f32(6)},
        set(),
    ),
    "kernels.box_atoms": (
        k.box_atoms,
        {
            "atoms": f32(9, 6),
            "bias": f32(9),
            "error": f32(9),
            "middle": f32(6),
            "half": f32(6),
            "radius": 1.0,
        },
        set(),
    ),
    "kernels.kth_magnitude": (k.kth_magnitude, {"x": f32(5, 16), "k": 2}, {"x.0"}),
    "kernels.log_dot": (
        k.log_dot,
        {"v": f32(19), "y": f32(19)},
        {"v.0", "y.0"},
    ),  # as many as the shorter has
    "kernels.small_product": (k.small_product, {"X": f32(5, 6), "F": f32(6, 16)}, {"X.0", "F.1"}),
    "kernels.distance_sums": (
        k.distance_sums,
        {"dot": f64(5, 16), "square_r": f64(5), "square_c": f64(16), "shift_r": f64(5), "shift_c": f64(16)},
        set(),
    ),
    "kernels.bounded_distances": (
        k.bounded_distances,
        {"dot": f32(5, 32), "square_r": f32(5), "square_c": f32(21), "low": f32(5)},
        {"square_c.0"},
    ),
    "kernels.pursuit_pairs": (
        k.pursuit_pairs,
        {
            "start": f32(128),
            "rows": ints(2, 128, dtype=np.int16),
            "factor": ints(2, dtype=np.int16),
            "unit": 1.0,
            "magnitudes": True,
        },
        set(),
    ),
    "kernels.pursuit_row": (
        k.pursuit_row,
        {"row": ints(128, dtype=np.int16), "factor": 1.0, "start": f32(128), "magnitudes": True},
        set(),
    ),
    "kernels.solve_cholesky": (k.solve_cholesky, {"A": f64(4, 4), "b": f64(4)}, set()),
    "kernels.binned_values": (
        k.binned_values,
        {"sum": ints(2, 6, dtype=np.int64), "unit": f64(2), "side_by_side": False},
        {"sum.1"},
    ),
    "kernels.scatter_binned": (
        k.scatter_binned,
        {
            "x": f32(5),
            "column": INDICES,
            "factor": 1.0,
            "magic": f64(2),
            "sum": ints(6, 2, dtype=np.int64),
            "flags": True,
        },
        {"sum.0+"},
    ),
}
