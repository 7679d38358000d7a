"""The compiled core. Private: import latom instead."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import kernels as kernels

_F32: TypeAlias = NDArray[np.float32]
_F64: TypeAlias = NDArray[np.float64]
_I32: TypeAlias = NDArray[np.int32]
_I64: TypeAlias = NDArray[np.int64]

# C-contiguous rows [n, d], or (indptr [n + 1], indices [nnz], data [nnz], d).
_Matrix: TypeAlias = _F32 | _F64 | tuple[_I64, _I32 | _I64, _F32 | _F64, int]

__version__: str

def available_isas() -> list[str]: ...
def isa() -> str: ...
def set_isa(name: str) -> None: ...
def resolve_threads(n_threads: int) -> int: ...

class Lloyd:
    def __init__(
        self,
        X: _Matrix,
        weights: _F64 | None,
        metric: str,
        n_threads: int = 0,
        function: str = "Lloyd",
        *,
        screen: bool = True,
        drift: bool = True,
        residual: bool = True,
        few: bool = True,
        shorten: int = 1,
        group: int = 0,
        drop: int = 0,
    ) -> None: ...
    def set_centers(self, centers: _Matrix, normalize: bool) -> None: ...
    # (rows whose label changed, objective, multiply-adds)
    def assign(self) -> tuple[int, float, float]: ...
    # (atoms that moved, rows relocated, squared distance moved)
    def update(self) -> tuple[int, int, float]: ...
    def labels(self) -> _I32: ...
    def scores(self) -> _F64: ...
    # Values [m, d] for dense X, else (indptr, indices, values).
    def centers(self) -> _F32 | _F64 | tuple[_I64, _I32, _F32 | _F64]: ...
    @property
    def zero_rows(self) -> int: ...

# indices [m]; distinct: how many were drawn by the law; method, trials, greedy, uniform, folds, products,
# potential.
def kmeans_plusplus(
    X: _Matrix,
    n_clusters: int,
    weights: _F64 | None,
    metric: str,
    seed: int,
    n_threads: int = 0,
    function: str = "kmeans_plusplus",
    *,
    method: str = "auto",
    bound: str = "auto",
    local_trials: int = 1,
    budget: float = ...,
    max_trials: int = 0,
    potential: bool = False,
    existing: _Matrix | None = None,
) -> dict[str, Any]: ...
def afkmc2(
    X: _Matrix,
    n_clusters: int,
    chain: int,
    weights: _F64 | None,
    metric: str,
    seed: int,
    n_threads: int = 0,
    function: str = "afkmc2",
) -> dict[str, Any]: ...

# (rows drawn, the weight of the rows nearest to each, potential)
def parallel_candidates(
    X: _Matrix,
    n_clusters: int,
    amount: float,
    rounds: int,
    weights: _F64 | None,
    metric: str,
    seed: int,
    n_threads: int = 0,
    function: str = "kmeans_parallel",
) -> tuple[_I64, _F64, float]: ...

# (rows, weights)
def coreset(
    X: _Matrix,
    size: int,
    rough_centers: int,
    weights: _F64 | None,
    metric: str,
    seed: int,
    n_threads: int = 0,
    function: str = "coreset",
) -> tuple[_I64, _F64]: ...
def weighted_sample(weights: _F64, size: int, replacement: bool, seed: int, n_threads: int = 0) -> _I64: ...
def is_canonical(
    indptr: _I64, indices: _I32 | _I64, n_threads: int = 0, function: str = "is_canonical", name: str = "X"
) -> bool: ...

# Atoms [m, d] for dense products: X is compared with all of them.
class AtomIndex:
    def __init__(
        self,
        atoms: _F32 | _F64,
        bias: _F64 | None = None,
        metric: str = "dot",
        screen: str = "auto",
        n_threads: int = 0,
        function: str = "AtomIndex",
    ) -> None: ...
    def pack(self, n_threads: int = 0, function: str = "pack") -> None: ...
    # (scores [n, k], atoms [n, k], products decided in float64, crowded rows).
    # storage "", "float16" or "bfloat16".
    def topk(
        self,
        X: _F32 | _F64 | NDArray[np.uint16],
        storage: str,
        k: int,
        activation: str = "identity",
        n_threads: int = 0,
        function: str = "topk",
    ) -> tuple[_F32 | _F64, _I32, int, int]: ...
    # (indptr [n + 1], atoms, scores) of all that score above the threshold.
    def above(
        self,
        X: _F32 | _F64 | NDArray[np.uint16],
        storage: str,
        threshold: float,
        n_threads: int = 0,
        function: str = "above",
    ) -> tuple[_I64, _I32, _F32 | _F64]: ...

# float16 or bfloat16 bits of any shape as float32.
def widen(half: NDArray[np.uint16], storage: str, n_threads: int = 0, function: str = "widen") -> _F32: ...

# bias - atoms @ center, in float64: a centre of the rows as part of the atoms' bias.
def fold_center(
    atoms: _F32 | _F64,
    center: _F64,
    bias: _F64 | None = None,
    n_threads: int = 0,
    function: str = "fold_center",
) -> _F64: ...

# Rows [n, d] of the sums of values[p] * W_dec[indices[p]], in stored order, after b_pre.
def decode(
    indptr: _I64,
    indices: _I32 | _I64,
    values: _F32 | _F64,
    W_dec: _F32 | _F64,
    b_pre: _F32 | _F64 | None = None,
    n_threads: int = 0,
    function: str = "decode",
) -> _F32 | _F64: ...

# V^T V [k, k] in float64.
def gram(V: _F32 | _F64, n_threads: int = 0, function: str = "gram") -> _F64: ...

# Sums of the columns of V, in float64.
def column_sums(V: _F32 | _F64, n_threads: int = 0, function: str = "column_sums") -> _F64: ...

# Coordinate sweeps over the rows of X, written to out (X itself where None; P may be it):
# (violation that first sweeps met, sum of (P - l1) X afterwards).
def coordinate_sweep(
    G: _F64,
    P: _F32 | _F64,
    X: _F32 | _F64,
    l1: float = 0.0,
    sweeps: int = 1,
    enough: float = 0.0,
    out: _F32 | _F64 | None = None,
    n_threads: int = 0,
    function: str = "coordinate_sweep",
) -> tuple[float, float]: ...

# The same with G less the outer products of the rows of F at a row's missing entries:
# (violation, sum of (P - l1) X, sum of quadratic forms).
def sweep_masked(
    G: _F64,
    l2: float,
    F: _F32 | _F64,
    indptr: _I64,
    indices: _I32 | _I64,
    P: _F32 | _F64,
    X: _F32 | _F64,
    l1: float = 0.0,
    sweeps: int = 1,
    enough: float = 0.0,
    out: _F32 | _F64 | None = None,
    n_threads: int = 0,
    function: str = "sweep_masked",
) -> tuple[float, float, float]: ...

# old <- max(0, X + beta (X - old)), in place.
def extrapolate(X: _F32 | _F64, old: _F32 | _F64, beta: float, n_threads: int = 0) -> None: ...

# Many small problems; W [problems, n, k] and F [problems, d, k] are changed in place: (losses, iterations).
def factorize_small(
    X: _F32 | _F64,
    W: _F32 | _F64,
    F: _F32 | _F64,
    sweeps: int,
    enough: float,
    tol: float,
    max_iter: int,
    n_threads: int = 0,
    function: str = "factorize_small",
) -> tuple[_F64, _I64]: ...

# Products of CSR rows [n, d] with factors F [d, k] and W [n, k].
class SparseProducts:
    def __init__(
        self, X: _Matrix, rows_per_block: int = 0, n_threads: int = 0, function: str = "SparseProducts"
    ) -> None: ...
    @property
    def norm2(self) -> _F64: ...
    @property
    def non_negative(self) -> bool: ...
    def times(
        self, F: _F32 | _F64, out: _F32 | _F64 | None = None, n_threads: int = 0, function: str = "times"
    ) -> _F32 | _F64: ...
    def transposed_times(
        self,
        W: _F32 | _F64,
        out: _F32 | _F64 | None = None,
        n_threads: int = 0,
        function: str = "transposed_times",
    ) -> _F32 | _F64: ...
    # (A after a step, the sum of X log Y before it); by_columns: A belongs to the columns of X.
    def kullback_step(
        self,
        A: _F32 | _F64,
        F: _F32 | _F64,
        sums: _F64,
        by_columns: bool,
        l1: float = 0.0,
        l2: float = 0.0,
        n_threads: int = 0,
        function: str = "kullback_step",
    ) -> tuple[_F32 | _F64, float]: ...

# X is changed in place: entries below the k-th largest magnitude of a row (column) become 0; counts left.
def keep_largest(
    X: _F32 | _F64, k: int, columns: bool = False, n_threads: int = 0, function: str = "keep_largest"
) -> _I64: ...

# X [n, d] times the transpose of CSR atoms [m, d].
def multiply_sparse(
    X: _F32 | _F64,
    indptr: _I64,
    indices: _I32 | _I64,
    values: _F32 | _F64,
    n_threads: int = 0,
    function: str = "multiply_sparse",
) -> _F32 | _F64: ...

# H [k, d] is changed in place: in each column G h = b for its entries that are not 0. Columns without one.
def refit_supports(
    G: _F64, B: _F64, H: _F64, n_threads: int = 0, function: str = "refit_supports"
) -> int: ...
