"""Every private function with sizes that do not fit: it refuses them before it reads an array past its end.

Beside each call stand the extents that may be other ones, by argument and axis: whatever else changes is
refused. Under an extension built with AddressSanitizer the same calls show what is read beyond.
"""

from __future__ import annotations

import ast
import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latom import _core

rng = np.random.default_rng(0)
k = _core.kernels
context = _core.Context("f", 2)
INDPTR = np.array([0, 2, 3, 3, 5])  # 4 rows, 6 columns
INDICES = np.array([0, 5, 3, 1, 2], np.int32)


def f32(*shape: int) -> Any:
    return rng.random(shape, dtype=np.float32)


def f64(*shape: int) -> Any:
    return rng.random(shape)


def ints(*shape: int, dtype: Any = np.int32) -> Any:
    return np.zeros(shape, dtype)


def csr() -> Any:
    return _core.prepare(context, (INDPTR, INDICES, f32(5), (4, 6)))


def square() -> Any:
    return _core.prepare(context, (INDPTR, INDICES % 4, f32(5), (4, 4)))


class Products:
    """A 4 x 6 matrix that multiplies."""

    def times(self, F: Any) -> Any:
        return np.ascontiguousarray(np.ones((4, 6), np.float32) @ F)

    def transposed_times(self, W: Any) -> Any:
        return np.ascontiguousarray(np.ones((6, 4), np.float32) @ W)


def dense(n: int = 4, d: int = 6) -> Any:
    return _core.prepare(context, f32(n, d))


def prepare_csr(context: Any, indptr: Any, indices: Any, data: Any) -> Any:
    return _core.prepare(context, (indptr, indices, data, (4, 6)))


CODES = {"indptr": INDPTR, "indices": INDICES, "values": f32(5)}
MORE = {"indices.0+", "values.0+"}  # entries beyond those that indptr names are capacity


def of_codes(name: str) -> Any:
    """A function of codes that takes their parts apart."""

    def given(context: Any, indptr: Any, indices: Any, values: Any, **rest: Any) -> Any:
        return getattr(_core, name)(context, (indptr, indices, values), **rest)

    return given


def train_latents(context: Any, **a: Any) -> Any:
    part = ((a["indptr"], a["indices"], a["values"]), a["slope"], a["residual"], 1.0)
    encoder, bias = (a["W"], a["first"], a["second"]), (a["b"], a["b_first"], a["b_second"])
    rest = (a["last"], 1e-3, 0.9, 0.999, 1e-8, 1, False, True)
    return _core.train_latents(context, [part], a["X"], encoder, encoder, bias, *rest)


def screened(rows: int, atoms: int) -> dict[str, Any]:
    return {
        "screen": "float32",
        "tile": ints(5, rows, dtype=np.uint32),
        "panel": ints(5, atoms, dtype=np.uint32),
        "factor": f32(atoms),
        "bias": f32(atoms),
        "limit": f32(rows),
        "row_bias": f32(rows),
        "magnitude": False,
    }


def moved_lloyd() -> Any:
    lloyd = _core.Lloyd(_core.Context("test", 1, 0), dense(), None, "euclidean")
    lloyd.set_centers(dense(3), False)
    lloyd.assign()
    return lloyd


def blocks() -> Any:
    run = _core.BlockLloyd(context, 4, "cosine")
    run.set_centers(context, dense(3))
    run.assign(context, dense(), 0)
    return run


def masked() -> dict[str, Any]:
    named = {
        "indptr": INDPTR,
        "indices": INDICES,
        "G": f64(3, 3),
        "F": f32(6, 3),
        "P": f32(4, 3),
        "X": f32(4, 3),
    }
    return named | {"l2": 0.0} | ({"observed": False} if "observed" in _core.sweep_masked.__doc__ else {})


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
    "Lloyd": (_core.Lloyd, {"X": dense(), "weights": f64(4), "metric": "cosine"}, set()),
    "Lloyd.move_centers": (
        lambda context, rows, labels: moved_lloyd().move_centers(dense(3), rows, labels),
        {"rows": np.array([3, 1]), "labels": np.array([0, 2], np.int32)},
        set(),
    ),
    "BlockLloyd.relocate": (
        lambda context, rows, labels: blocks().relocate(context, rows, labels),
        {"rows": np.array([3, 1]), "labels": np.array([0, 2], np.int32)},
        set(),
    ),
    "add_parts": (
        _core.add_parts,
        {
            "X": dense(),
            "weights": f64(4),
            "before": np.array([1, 2, 0, -1], np.int32),
            "labels": np.array([0, 2, -1, 0], np.int32),
            "metric": "euclidean",
            "longest": 1e3,
            "heaviest": 9.0,
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
        set(),
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
        set(),
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
        set(),
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
        set(),
    ),
    "davies_bouldin": (
        _core.davies_bouldin,
        {"X": dense(), "labels": np.array([0, 1, 1, 0], np.int32), "n_clusters": 2},
        set(),
    ),
    "afkmc2": (
        _core.afkmc2,
        {"X": dense(), "n_clusters": 2, "chain": 5, "weights": f64(4), "metric": "cosine"},
        set(),
    ),
    "parallel_candidates": (
        _core.parallel_candidates,
        {"X": csr(), "n_clusters": 2, "amount": 2.0, "rounds": 2, "weights": f64(4), "metric": "cosine"},
        set(),
    ),
    "coreset": (
        _core.coreset,
        {"X": csr(), "size": 3, "rough_centers": 2, "weights": f64(4), "metric": "cosine"},
        set(),
    ),
    "weighted_sample": (
        _core.weighted_sample,
        {"weights": f64(4), "size": 9, "replacement": True},
        {"weights.0"},
    ),
    "AtomIndex": (_core.AtomIndex, {"atoms": f32(9, 6), "bias": f64(9)}, {"atoms.1"}),
    "AtomIndex.above": (
        lambda context, threshold: _core.AtomIndex(context, f32(9, 6)).above(context, dense(), threshold),
        {"threshold": f64(4)},
        set(),
    ),
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
        CODES | {"m": 6, "temperature": 0.2, "weight": 1.0, "slope": f32(5)},
        MORE | {"indptr.0+"},
    ),
    "train_latents": (
        train_latents,
        CODES
        | {"slope": f32(5), "residual": f32(4, 3), "X": f32(4, 3), "last": ints(6, dtype=np.int64)}
        | {name: f32(6, 3) for name in ("W", "first", "second")}
        | {name: f32(6) for name in ("b", "b_first", "b_second")},
        MORE,
    ),
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
        | {"transition": True, "normalize": False, "concatenate": False, "from_start": False},
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
        {"W.1"},
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
    "kernels.kth_magnitude": (k.kth_magnitude, {"x": f32(5, 16), "k": 2}, {"x.0"}),
    "kernels.log_dot": (
        k.log_dot,
        {"v": f32(19), "y": f32(19)},
        {"v.0", "y.0"},
    ),  # as many as the shorter has
    "kernels.small_product": (k.small_product, {"X": f32(5, 6), "F": f32(6, 16)}, {"X.0", "F.1"}),
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
        {"x": f32(5), "column": INDICES, "factor": 1.0, "magic": f64(2), "sum": ints(6, 2, dtype=np.int64)},
        {"sum.0+"},
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
# They take no array; the objects' other methods take what has been checked when it was made.
WITHOUT_ARRAYS = {
    "available_isas", "isa", "set_isa", "resolve_threads", "mean_variance", "kernels.tile_shape",
    "factorize_replicates", "kernels.best_rows", "kernels.bin_grid", "kernels.philox",
    "kernels.repeat_screen",
}  # fmt: skip


def growing() -> Any:
    return _core.Dictionary(context, f32(9, 6), True)


def batches() -> Any:
    return _core.MiniBatch(context, dense(3), f64(3), "euclidean", False)


def arguments(name: str) -> dict[str, Any]:
    found = CALLS[name][1]
    return found() if callable(found) else found


def call(name: str, **changed: Any) -> Any:
    given = {key: v.copy() if isinstance(v, np.ndarray) else v for key, v in arguments(name).items()}
    function, given = CALLS[name][0], given | changed
    alone = name.startswith("kernels.") and name != "kernels.transposed_product"
    return function(**given) if alone else function(context, **given)


def others(array: Any, axis: int) -> Any:
    """(sign, an array of another extent along the axis, in memory of its own)."""
    yield "+", np.concatenate([array, array.take([-1], axis)], axis)
    yield "-", np.ascontiguousarray(array.take(range(array.shape[axis] - 1), axis))
    yield "-", np.ascontiguousarray(array.take([], axis))


def test_every_function_that_takes_arrays_is_here():
    stubs = Path(_core.__file__).parent / "_core"
    named = set()
    for stub, prefix in (("__init__", ""), ("kernels", "kernels.")):
        body = ast.parse((stubs / f"{stub}.pyi").read_text()).body
        named |= {prefix + node.name for node in body if isinstance(node, ast.FunctionDef)}
    assert named - WITHOUT_ARRAYS == {
        name for name in CALLS if name.count(".") == name.count("kernels.") and name[0].islower()
    } - {"next_centers of CSR", "prepare of CSR"}


@pytest.mark.parametrize("name", CALLS)
def test_other_extents_are_refused(name, isa):
    call(name)  # as it stands it is taken
    free = CALLS[name][2]
    for key, value in arguments(name).items():
        if not isinstance(value, np.ndarray):
            continue
        for axis in range(value.ndim):
            for sign, other in others(value, axis):
                at = f"{key}.{axis}"
                if at in free or at + sign in free:
                    # What is empty may be refused, and what leaves another argument too long.
                    with contextlib.suppress(ValueError, IndexError):
                        call(name, **{key: other})
                    continue
                with pytest.raises((ValueError, IndexError)):
                    call(name, **{key: other})


@pytest.mark.parametrize("name", CALLS)
def test_other_types_layouts_and_alignments_are_refused(name):
    for key, value in arguments(name).items():
        if not isinstance(value, np.ndarray):
            continue
        wrong = [value.astype(np.complex64), value.astype(value.dtype.newbyteorder()), value.tolist()]
        if value.dtype.itemsize > 1:
            wrong.append(np.frombuffer(b"x" + value.tobytes(), value.dtype, offset=1).reshape(value.shape))
        else:
            wrong.pop(1)
        if min(value.shape) > 1 or value.ndim == 1:
            wrong.append(np.repeat(value, 2, axis=-1)[..., ::2])
        for other in wrong:
            with pytest.raises(TypeError):
                call(name, **{key: other})


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("prepare of CSR", {"indptr": INDPTR[::-1].copy()}),
        ("Rows.subset", {"chosen": np.array([4])}),
        ("Rows.subset", {"chosen": np.array([-1])}),
        ("least_squares_rows", {"any_sign": 4}),
        ("least_squares_block", {"first": 2}),
        ("least_squares_block", {"first": -1}),
        ("least_squares_block", {"first": 0, "width": 2**63 - 1}),
        ("predict_pairs", {"rows": np.array([0, 4])}),
        ("predict_pairs", {"rows": np.array([-1, 0])}),
        ("predict_pairs", {"columns": np.array([6, 0])}),
        ("Lloyd.move_centers", {"rows": np.array([4, 0])}),
        ("Lloyd.move_centers", {"labels": np.array([-1, 3], np.int32)}),
        ("cluster_parts", {"labels": np.array([0, 3, -1, 0], np.int32)}),
        ("cluster_parts", {"labels": np.array([0, 2, -2, 0], np.int32)}),
        ("cluster_parts", {"before": np.array([0, 2, 3, 0], np.int32)}),
        ("cluster_parts", {"n_clusters": 0}),
        ("add_parts", {"before": np.array([0, 2, 3, 0], np.int32)}),
        ("add_parts", {"labels": np.array([0, 2, -2, 0], np.int32)}),
        ("add_parts", {"longest": np.nan}),
        ("BlockLloyd.relocate", {"rows": np.array([4, 0])}),
        ("BlockLloyd.relocate", {"labels": np.array([-1, 2], np.int32)}),
        ("cluster_parts", {"longest": np.nan}),
        ("next_centers", {"heaviest": np.inf}),
        ("next_centers of CSR", {"indices": INDICES + 1}),
        ("next_centers of CSR", {"indptr": INDPTR[::-1].copy()}),
        ("MiniBatch.replace", {"rows": np.array([4, 0])}),
        ("MiniBatch.replace", {"clusters": np.array([0, 3])}),
        ("kmeans_plusplus", {"n_clusters": 5}),
        ("kmeans_plusplus", {"n_clusters": -(2**62)}),
        ("afkmc2", {"n_clusters": 0}),
        ("kmeans_batch", {"offsets": np.array([0, 3, 1, 4])}),
        ("kmeans_batch", {"offsets": np.array([0, 0, 1, 4])}),
        ("kmeans_batch", {"center_offsets": np.array([0, 2, 1, 3])}),
        ("kmeans_batch", {"center_offsets": np.array([0, 2, 2, 3])}),
        ("kmeans_batch", {"start": "labels", "labels": None}),
        ("kmeans_batch", {"fixed": np.array([-1, 2, 0, 0], np.int32)}),
        ("kmeans_batch", {"labels": np.array([0, -1, 0, 0], np.int32)}),
        ("kmeans_batch", {"n_init": 0}),
        ("kmeans_batch", {"start": "centers", "centers": None}),
        ("ward_batch", {"offsets": np.array([0, 5, 1, 4])}),
        ("maxsim", {"k": 0}),
        ("maxsim", {"k": 3}),
        ("silhouette", {"n_clusters": 1}),
        ("silhouette", {"labels": np.array([0, 1, 1, -1], np.int32)}),
        ("davies_bouldin", {"n_clusters": 1}),
        ("coreset", {"rough_centers": 5}),
        ("coreset", {"size": -1}),
        ("weighted_sample", {"size": -1}),
        ("decode", {"n": -1}),
        ("decode", {"n": 2**62}),
        ("decode", {"indices": INDICES + 1}),
        ("decode", {"indices": INDICES - 1}),
        ("keep_largest", {"k": 4}),
        ("multiply_sparse", {"indices": INDICES + 1}),
        ("sweep_masked", {"indices": INDICES + 1}),
        ("pair_epoch", {"indices": INDICES + 1}),
        ("pair_epoch", {"indptr": INDPTR[::-1].copy()}),
        ("pair_epoch", {"loss": "none"}),
        ("pair_epoch", {"negatives": 0}),
        ("pair_epoch", {"negatives": 2**62}),
        ("kernels.pull_rows", {"index": ints(3) + 2}),
        ("kernels.sparse_dot", {"column": INDICES + 1}),
        ("kernels.quantize_row", {"a": f32(31)}),
        ("kernels.accumulate", {"acc": ints(63)}),
        ("kernels.accumulate", {"line": np.array([0, 1, 2, 3], np.int32)}),
        ("kernels.accumulate_group", {"line": np.array([0, 0, 0, 16], np.int32)}),
        ("kernels.accumulate_group", {"line_shift": 32}),
        ("kernels.accumulate_group", {"line_shift": -1}),
        ("kernels.interleave", {"rows": ints(3, 8, dtype=np.uint32)}),
        ("kernels.interleave", {"cells": 9}),
        ("kernels.interleave", {"cells": 2**63 - 1}),
        ("kernels.gather_add", {"first": 3}),
        ("kernels.gather_add", {"first": 2**63 - 1}),
        ("kernels.gather_add", {"index": INDICES + 1}),
        ("kernels.scatter_binned", {"column": INDICES + 1}),
        ("kernels.raise_bar", {"k": 0}),
        ("kernels.score_bounds", {"factor": [1.0] * 8}),
        ("kernels.score_bounds", {"bias": [1.0] * 10}),
    ],
)
def test_numbers_that_lead_past_an_array_are_refused(name, changed, isa):
    with pytest.raises((ValueError, IndexError)):
        call(name, **changed)


@pytest.mark.parametrize("shape", [(3, 6), (5, 6), (-1, 6), (4, 0), (2**62, 6), (2**63 - 1, 6)])
def test_a_shape_that_does_not_fit_indptr(shape):
    with pytest.raises(
        ValueError, match=r"X\.indptr must hold one number more than rows|at least one column"
    ):
        _core.prepare(context, (INDPTR, INDICES, f32(5), shape))


def test_columns_beyond_the_shape_are_refused_when_measured():
    for d in (5, 2**31):
        with pytest.raises(ValueError, match=r"X\.indices must lie in|fewer than 2\^31 columns"):
            _core.prepare(context, (INDPTR, INDICES, f32(5), (4, d))).norm2(context)


def test_one_transpose_per_type():
    X = _core.prepare(context, (INDPTR, INDICES, f64(5), (4, 6)))
    _core.multiply_transposed(context, X, f64(4, 3))
    with pytest.raises(ValueError, match="dtype of X"):
        _core.multiply_transposed(context, X, f32(4, 3))


def test_no_rows():
    """A subset may be empty; what needs a row says so."""
    for none in (
        dense().subset(context, np.array([], np.int64)),
        csr().subset(context, np.array([], np.int64)),
    ):
        assert len(none.norm2(context)) == 0
        with pytest.raises(ValueError, match="at least one row"):
            _core.MiniBatch(context, none, f64(0), "cosine", False)
        with pytest.raises(ValueError, match="at least one row"):
            _core.mean_variance(context, none)
        with pytest.raises(ValueError, match="n_clusters"):
            _core.kmeans_plusplus(context, none, 1, None, "cosine")
        lloyd = _core.Lloyd(context, dense(), None, "cosine")
        with pytest.raises(ValueError, match="centers must be one or more rows"):
            lloyd.set_centers(none, False)
    nothing = _core.prepare(context, (np.zeros(1, np.int64), ints(0), f32(0), (0, 6)))
    assert _core.multiply(context, nothing, f32(6, 3)).shape == (0, 3)
    assert not _core.multiply_transposed(context, nothing, f32(0, 3)).any()
    with pytest.raises(ValueError, match="threshold"):
        _core.AtomIndex(context, f32(9, 6)).above(context, _core.prepare(context, f32(0, 6)), f64(0))


def test_batches_stored_otherwise_than_the_centers():
    for centers, batch, words in ((dense(3), csr(), "dense as"), (csr(), dense(), "CSR as")):
        run = _core.MiniBatch(context, centers, f64(centers.n), "euclidean", False)
        with pytest.raises(ValueError, match=words):
            run.step(context, batch, None)
        with pytest.raises(ValueError, match=words):
            run.replace(context, batch, np.array([0]), np.array([1]))


def test_blocks_of_other_rows_are_refused():
    run = blocks()
    for X, first in ((dense(), 1), (dense(), -1), (dense(4, 5), 0), (csr(), 0)):
        with pytest.raises(ValueError, match="a block must"):
            run.assign(context, X, first)
    for centers in (dense(4), dense(3, 5), csr()):
        with pytest.raises(ValueError, match="centers must"):
            run.set_centers(context, centers)


def test_more_threads_than_a_machine_has():
    assert _core.resolve_threads(2**31 - 1) <= 4096
