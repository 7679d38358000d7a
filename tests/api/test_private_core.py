"""Every private function with sizes that do not fit: it refuses them before it reads an array past its end.

Beside each call stand the extents that may be other ones, by argument and axis: whatever else changes is
refused. Under an extension built with AddressSanitizer the same calls show what is read beyond.
"""

from __future__ import annotations

import ast
import contextlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import private_cluster
import private_encode
import private_factorize
import private_kernels
import private_neighbors
import pytest
from private_parts import INDICES, INDPTR, blocks, context, csr, dense, f32, f64, ints, other_rows

from latom import _core

TABLES = (private_cluster, private_encode, private_neighbors, private_factorize, private_kernels)
CALLS = {name: call for table in TABLES for name, call in table.CALLS.items()}
TAKEN = re.compile(r"NDArray|_Float|_Int|_Codes|_Csr|_Parameter|\bRows\b")  # by what is to be in the tables
# One thing that has any size, and nothing that it would have to fit.
ALONE = {"mean_variance", "kernels.best_rows"}


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


def stated(stub: str, prefix: str) -> dict[str, str]:
    """What takes what, of a stub: functions, and the methods of classes."""
    found: dict[str, str] = {}
    for node in ast.parse((Path(_core.__file__).parent / "_core" / f"{stub}.pyi").read_text()).body:
        for part in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(part, ast.FunctionDef) and "property" not in map(ast.unparse, part.decorator_list):
                owner = [node.name] if isinstance(node, ast.ClassDef) else []
                name = ".".join([*owner, *([part.name] if part.name != "__init__" else [])])
                found[prefix + name] = found.get(prefix + name, "") + ast.unparse(part.args)
    return found


def test_every_function_that_takes_arrays_is_here():
    named = stated("__init__", "") | stated("kernels", "kernels.")
    takes = {name for name, arguments in named.items() if TAKEN.search(arguments)} | {"randomized_svd_of"}
    assert takes - ALONE == {name.split(" of ")[0] for name in CALLS}


@pytest.mark.parametrize(("stub", "module"), [("__init__", _core), ("kernels", _core.kernels)])
def test_every_function_is_stated(stub, module):
    found = set()
    for name, value in vars(module).items():
        if isinstance(value, type):
            methods = {f"{name}.{key}" for key, method in vars(value).items() if callable(method)}
            found |= {method for method in methods if "._" not in method} | {name}
        elif callable(value) and not name.startswith("_"):
            found.add(name)
    assert found == set(stated(stub, "")) | {name for name in found if name == "Rows"}


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
def test_rows_that_do_not_fit_are_refused(name, isa):
    """Of another width always, unless that is free; of another number or kind unless they fit too."""
    for key, value in arguments(name).items():
        if isinstance(value, _core.Rows):
            for what, other in other_rows(value):
                if what == "d" and f"{key}.d" not in CALLS[name][2]:
                    with pytest.raises((ValueError, IndexError)):
                        call(name, **{key: other})
                    continue
                with contextlib.suppress(ValueError, IndexError, TypeError):
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
        ("cluster_parts", {"labels": np.array([0, 3, -1, 0], np.int32)}),
        ("cluster_parts", {"labels": np.array([0, 2, -2, 0], np.int32)}),
        ("cluster_parts", {"before": np.array([0, 2, 3, 0], np.int32)}),
        ("cluster_parts", {"n_clusters": 0}),
        ("Lloyd.adopt", {"label": np.array([0, 2, 1, 0], np.int32)}),
        ("Lloyd.adopt", {"label": np.array([0, -1, 1, 0], np.int32)}),
        ("BlockLloyd.assign", {"before": np.array([0, 2, 3, 0], np.int32)}),
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
        ("AtomIndex.topk_without", {"indices": INDICES + 9}),
        ("AtomIndex.topk_without", {"indices": INDICES - 9}),
        ("AtomIndex.topk_without", {"indptr": INDPTR[::-1].copy()}),
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
        ("kernels.sift", {"acc": ints(63, dtype=np.int16)}),
        ("kernels.sift", {"line": np.array([0, 1, 2, 3], np.int32)}),
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
        ("kernels.pair_bounds", {"X": f32(32, 6)}),
        ("kernels.pair_bounds", {"bias": [1.0] * 39}),
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
            run.assign(context, X, first, None, None, 1.0, 1.0, None, None)
    for centers in (dense(4), dense(3, 5), csr()):
        with pytest.raises(ValueError, match="centers must"):
            run.set_centers(context, centers)


def test_more_threads_than_a_machine_has():
    assert _core.resolve_threads(2**31 - 1) <= 4096
