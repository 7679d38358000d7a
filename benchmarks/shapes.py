"""The size of a problem of each family, and what the plain algorithm computes on it."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp
from data import Problem

Shape = dict[str, Any]


def nmf_shape(problem: Problem) -> Shape:
    X = problem["X"]
    n, d = X.shape
    return {"n": n, "d": d, "nnz": X.nnz if sp.issparse(X) else n * d, "m": problem["H"].shape[0]}


def als_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    return {"n": n, "d": d, "nnz": problem["X"].nnz, "m": int(problem["factors"])}


def recommend_shape(problem: Problem) -> Shape:
    (n, d), m = problem["queries"].shape, problem["atoms"].shape[0]
    return {"n": n, "d": d, "nnz": n * d, "m": m, "k": int(problem["k"])}


def replicates_shape(problem: Problem) -> Shape:
    (n, d), (problems, _, m) = problem["X"].shape, problem["W"].shape
    return {"n": n, "d": d, "nnz": problems * n * d, "m": m, "k": problems}


def semi_nmf_shape(problem: Problem) -> Shape:
    (n, d), kept = problem["X"].shape, int(problem["kept"])
    shape = {"n": n, "d": d, "nnz": n * d, "m": problem["codes"].shape[1]}
    return shape | ({"k": kept} if kept else {})


def pairs_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    return {"n": n, "d": d, "nnz": problem["X"].nnz, "m": int(problem["k"])}


def kmeans_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    nnz = problem["X"].nnz if sp.issparse(problem["X"]) else n * d
    return {"n": n, "d": d, "nnz": nnz, "m": problem["init"].shape[0]}


def topk_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["atoms"].shape[0]
    about = {"k": int(problem["k"]), "metric": str(problem["metric"])}
    return {"n": n, "d": d, "nnz": n * d, "m": m} | about


def pursuit_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["atoms"].shape[0]
    return {"n": n, "d": d, "nnz": n * d, "m": m, "k": int(problem["k"])}


def neighbors_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["atoms"].shape[0]
    return {"n": n, "d": d, "nnz": problem["X"].nnz, "m": m, "k": int(problem["k"])}


def decode_shape(problem: Problem) -> Shape:
    codes, (m, d) = problem["codes"], problem["atoms"].shape
    n = codes.shape[0]
    return {"n": n, "d": d, "nnz": codes.nnz, "m": m, "k": codes.nnz // n}


def seeding_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    nnz = problem["X"].nnz if sp.issparse(problem["X"]) else n * d
    return {"n": n, "d": d, "nnz": nnz, "m": int(problem["m"])}


def pooling_shape(problem: Problem) -> Shape:
    documents, n, d = problem["X"].shape
    return {"n": documents * n, "d": d, "nnz": documents * n * d, "m": int(problem["m"]), "k": documents}


def hierarchy_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    return {"n": n, "d": d, "nnz": n * d, "m": int(problem["counts"][0]), "k": int(problem["rounds"])}


def silhouette_shape(problem: Problem) -> Shape:
    n, d = problem["X"].shape
    return {"n": n, "d": d, "nnz": n * d, "m": int(problem["labels"].max()) + 1}


def spectral_shape(problem: Problem) -> Shape:
    X = problem["X"] if "X" in problem else problem["A"]
    (n, d), m = X.shape, int(problem["m"] if "m" in problem else problem["ranks"].max())
    about = {"k": int(problem["replicates"])} if "replicates" in problem else {}
    return {"n": n, "d": d, "nnz": X.nnz if sp.issparse(X) else n * d, "m": m} | about


def predict_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["centers"].shape[0]
    return {"n": n, "d": d, "nnz": n * d, "m": m}


def gemm_shape(problem: Problem) -> Shape:
    (n, d), m = problem["X"].shape, problem["atoms"].shape[0]
    return {"n": n, "d": d, "nnz": n * d, "m": m}


def entries_times_atoms(shape: Shape) -> float:
    return float(shape["nnz"]) * float(shape["m"])


def products(shape: Shape) -> float:
    return 2.0 * entries_times_atoms(shape)


def entries_times_columns(shape: Shape) -> float:
    return 2.0 * float(shape["nnz"]) * float(shape["d"])
