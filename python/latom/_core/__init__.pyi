"""Types of the compiled core. Private: import latom instead."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernels as kernels

__version__: str

_Int64 = NDArray[np.int64]
_Csr = tuple[_Int64, NDArray[Any], NDArray[Any], tuple[int, int]]
_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]

def available_isas() -> list[str]: ...
def isa() -> str: ...
def set_isa(name: str) -> None: ...
def resolve_threads(n_threads: int) -> int: ...
def watch_loops(threads: int) -> None: ...
def watched_loops() -> tuple[float, float, int]: ...

class Context:
    """What every call is told: a name for messages, threads (0: the environment's choice), the seed."""

    @property
    def function(self) -> str: ...
    @property
    def n_threads(self) -> int: ...
    @property
    def seed(self) -> int: ...
    def __init__(self, function: str, n_threads: int = 0, seed: int = 0) -> None: ...

class Rows:
    """The prepared X: checked and measured once, when first needed."""

    @property
    def n(self) -> int: ...
    @property
    def d(self) -> int: ...
    def subset(self, context: Context, chosen: _Int64) -> Rows: ...
    def norm2(self, context: Context) -> _Float64: ...
    def non_negative(self, context: Context) -> bool: ...
    def zero_rows(self, context: Context) -> int: ...

def prepare(context: Context, X: NDArray[Any] | _Csr, storage: str = "", name: str = "X") -> Rows | None: ...
def widen(context: Context, half: NDArray[np.uint16], storage: str) -> _Float32: ...

class Lloyd:
    def __init__(
        self, context: Context, X: Rows, weights: _Float64 | None, metric: str, *, screen: bool = True,
        drift: bool = True, residual: bool = True, few: bool = True, shorten: int = 1, blocks: int = 1,
        keep: bool = True, group: int = 0, drop: int = 0,
    ) -> None: ...  # fmt: skip
    @property
    def zero_rows(self) -> int: ...
    def set_centers(self, centers: Rows, normalize: bool) -> None: ...
    def assign(self, objective: bool = True) -> tuple[int, float, float]: ...
    def plan(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], _Float64]: ...
    def adopt(
        self, label: NDArray[np.int32], own: _Float64, others: _Float64, objective: bool = True
    ) -> tuple[int, float, float]: ...
    def inertia(self) -> float: ...
    def update(self) -> tuple[int, int, float]: ...
    def labels(self) -> NDArray[np.int32]: ...
    def scores(self) -> _Float64: ...
    def centers(self) -> Any: ...

class MiniBatch:
    """k-means by mini-batches: centers, and the weight that each has seen."""

    def __init__(
        self, context: Context, centers: Rows, counts: _Float64, metric: str, normalize: bool
    ) -> None: ...
    def step(self, context: Context, X: Rows, weights: _Float64 | None) -> tuple[float, float]: ...
    def replace(self, context: Context, X: Rows, rows: _Int64, clusters: _Int64) -> None: ...
    def set_counts(self, counts: _Float64) -> None: ...
    def counts(self) -> _Float64: ...
    def labels(self) -> NDArray[np.int32]: ...
    def scores(self) -> _Float64: ...
    def centers(self) -> Any: ...

def mean_variance(context: Context, X: Rows) -> float: ...
def kmeans_plusplus(
    context: Context, X: Rows, n_clusters: int, weights: _Float64 | None, metric: str, *,
    method: str = "auto", bound: str = "auto", local_trials: int = 1, budget: float = ...,
    max_trials: int = 0, potential: bool = False, existing: Rows | None = None, nearest: Any = None,
) -> dict[str, Any]: ...  # fmt: skip
def afkmc2(
    context: Context, X: Rows, n_clusters: int, chain: int, weights: _Float64 | None, metric: str
) -> dict[str, Any]: ...
def parallel_candidates(
    context: Context, X: Rows, n_clusters: int, amount: float, rounds: int, weights: _Float64 | None,
    metric: str, nearest: Any = None,
) -> tuple[_Int64, _Float64, float]: ...  # fmt: skip
def coreset(
    context: Context, X: Rows, size: int, rough_centers: int, weights: _Float64 | None, metric: str
) -> tuple[_Int64, _Float64]: ...
def weighted_sample(context: Context, weights: _Float64, size: int, replacement: bool) -> _Int64: ...

class Dictionary:
    """Atoms that rows are pursued with; a growable one takes more."""

    @property
    def m(self) -> int: ...
    def __init__(
        self, context: Context, atoms: NDArray[Any], growable: bool = False, gram: str = "auto"
    ) -> None: ...
    def atoms(self, context: Context) -> NDArray[Any]: ...
    # (indptr, indices, values, squared residuals)
    def pursue(
        self, context: Context, X: Rows, steps: int, orthogonal: bool = False, positive: bool = False,
        repeat: bool = True, tol: float = -1.0, relative: bool = False,
    ) -> tuple[_Int64, NDArray[np.int32], NDArray[Any], _Float64]: ...  # fmt: skip
    # (rows that became atoms, relative squared residuals)
    def grow(
        self, context: Context, X: Rows, steps: int, orthogonal: bool, tol: float, most: int
    ) -> tuple[_Int64, _Float64]: ...
    def adopt(self, context: Context, X: Rows, which: _Int64) -> None: ...

class CenterDistances:
    """Centers that rows are measured from."""

    def __init__(self, context: Context, centers: Rows, metric: str) -> None: ...
    def run(self, context: Context, X: Rows) -> NDArray[Any]: ...
    def nearest(self, context: Context, X: Rows) -> tuple[NDArray[np.int32], _Float64]: ...

def same_bytes(context: Context, a: NDArray[Any], b: NDArray[Any]) -> bool: ...

class AtomIndex:
    """Atoms that rows are compared with."""

    def __init__(
        self, context: Context, atoms: NDArray[Any], bias: _Float64 | None = None, metric: str = "dot",
        screen: str = "auto", pairs: str = "auto",
    ) -> None: ...  # fmt: skip
    def pack(self, context: Context) -> None: ...
    def topk(
        self, context: Context, X: Rows, k: int, activation: str = "identity"
    ) -> tuple[NDArray[Any], NDArray[np.int32], int, int]: ...
    def topk_without(
        self, context: Context, X: Rows, k: int, indptr: _Int64, indices: NDArray[np.int32]
    ) -> tuple[NDArray[Any], NDArray[np.int32]]: ...
    def nearest(
        self, context: Context, X: Rows, scores: bool = True
    ) -> tuple[NDArray[np.int32], _Float64]: ...
    def above(
        self, context: Context, X: Rows, threshold: _Float64
    ) -> tuple[_Int64, NDArray[np.int32], NDArray[Any]]: ...

class DocumentSearch:
    """Rows that sparse or dense queries are searched among."""

    def __init__(self, context: Context, documents: Rows, metric: str) -> None: ...
    @property
    def bytes(self) -> int: ...
    def topk(
        self, context: Context, X: Rows, k: int, *, threshold: float = ...,
        allowed: NDArray[np.uint8] | None = None, without: _Int64 | None = None, prune: bool = True,
        together_from: int = ..., tile_bytes: int = ...,
    ) -> tuple[NDArray[Any], NDArray[np.int32], _Int64, dict[str, int]]: ...  # fmt: skip
    def above(
        self, context: Context, X: Rows, threshold: _Float64, *,
        allowed: NDArray[np.uint8] | None = None, without: _Int64 | None = None, prune: bool = True,
        together_from: int = ..., tile_bytes: int = ...,
    ) -> tuple[_Int64, NDArray[np.int32], NDArray[Any]]: ...  # fmt: skip

def fold_center(
    context: Context, atoms: NDArray[Any], center: _Float64, bias: _Float64 | None = None
) -> _Float64: ...
def decode(
    context: Context, n: int, indptr: _Int64, indices: NDArray[Any], values: NDArray[Any],
    W_dec: NDArray[Any], b_pre: NDArray[Any] | None = None,
) -> NDArray[Any]: ...  # fmt: skip
def multiply(context: Context, X: Rows, F: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]: ...
def multiply_transposed(
    context: Context, X: Rows, W: NDArray[Any], out: NDArray[Any] | None = None
) -> NDArray[Any]: ...
def kullback_step(
    context: Context, X: Rows, A: NDArray[Any], F: NDArray[Any], sums: _Float64, by_columns: bool,
    l1: float = 0.0, l2: float = 0.0,
) -> tuple[NDArray[Any], float]: ...  # fmt: skip
def gram(context: Context, V: NDArray[Any]) -> _Float64: ...
def column_sums(context: Context, V: NDArray[Any]) -> _Float64: ...
def coordinate_sweep(
    context: Context, G: _Float64, P: NDArray[Any], X: NDArray[Any], l1: float = 0.0, sweeps: int = 1,
    inner_tol: float = 0.0, out: NDArray[Any] | None = None,
) -> tuple[float, float]: ...  # fmt: skip
def solve_rows(
    context: Context, X: NDArray[Any], H: NDArray[Any], G: _Float64, curvature: float, P: NDArray[Any],
    W: NDArray[Any], sweeps: int, inner_tol: float,
) -> float: ...  # fmt: skip
def sweep_masked(
    context: Context, G: _Float64, l2: float, F: NDArray[Any], indptr: _Int64, indices: NDArray[Any],
    observed: bool, P: NDArray[Any], X: NDArray[Any], l1: float = 0.0, sweeps: int = 1,
    inner_tol: float = 0.0, out: NDArray[Any] | None = None,
) -> tuple[float, float, float]: ...  # fmt: skip
def extrapolate(context: Context, X: NDArray[Any], old: NDArray[Any], beta: float) -> None: ...
def factorize_small(
    context: Context, X: NDArray[Any], W: NDArray[Any], F: NDArray[Any], sweeps: int, inner_tol: float,
    tol: float, max_iter: int,
) -> tuple[_Float64, _Int64]: ...  # fmt: skip
def keep_largest(context: Context, X: NDArray[Any], k: int, columns: bool = False) -> _Int64: ...
def multiply_sparse(
    context: Context, X: NDArray[Any], indptr: _Int64, indices: NDArray[Any], values: NDArray[Any]
) -> NDArray[Any]: ...
def pair_epoch(
    context: Context, indptr: _Int64, indices: NDArray[np.int32], weights: _Float32 | None, loss: str,
    negatives: int, unlabelled: float, epoch: int, rows: _Float32, columns: _Float32, rate: float,
    decay: float, noise_rows: _Float32 | None = None, noise_columns: _Float32 | None = None,
    noise_decay: float = 0.0, ones: int = -1, fixed_columns: bool = False,
) -> float: ...  # fmt: skip
def solve_columns(context: Context, G: _Float64, B: _Float64) -> None: ...
def refit_supports(context: Context, G: _Float64, B: _Float64, H: _Float64) -> int: ...
def least_squares_rows(
    context: Context, X: Rows, V: NDArray[Any], G: _Float64 | None, ridge: _Float64, out: NDArray[Any],
    rule: str, alpha: float = 1.0, offsets: NDArray[Any] | None = None, solver: str = "auto",
    steps: int = 3, any_sign: int = 0,
) -> tuple[float, int]: ...  # fmt: skip
def least_squares_block(
    context: Context, X: Rows, V: NDArray[Any], G: _Float64 | None, ridge: _Float64, out: NDArray[Any],
    predictions: NDArray[Any], first: int, width: int, rule: str, alpha: float = 1.0,
    offsets: NDArray[Any] | None = None,
) -> int: ...  # fmt: skip
def predict_stored(context: Context, X: Rows, V: NDArray[Any], U: NDArray[Any]) -> NDArray[Any]: ...
def predict_pairs(
    context: Context, U: NDArray[Any], V: NDArray[Any], rows: _Int64, columns: _Int64
) -> NDArray[Any]: ...
def kmeans_batch(
    context: Context, X: Rows, offsets: _Int64, center_offsets: _Int64, metric: str, start: str,
    max_iter: int, tol: float, n_init: int, weights: _Float64 | None, fixed: NDArray[np.int32] | None,
    labels: NDArray[np.int32] | None, centers: NDArray[Any] | None, seeds: NDArray[np.uint64] | None,
    wide: bool,
) -> tuple[NDArray[np.int32], NDArray[Any], _Float64, _Int64, _Int64]: ...  # fmt: skip
def maxsim(
    context: Context, queries: Rows, query_offsets: _Int64, documents: Rows, document_offsets: _Int64,
    k: int, wide: bool,
) -> tuple[_Float64, _Int64]: ...  # fmt: skip
def ward_batch(
    context: Context, X: Rows, offsets: _Int64, metric: str, n_clusters: _Int64 | None, height: float,
    linkage: bool, wide: bool, one_minus_cosine: bool = False,
) -> tuple[NDArray[np.int32], _Int64, _Float64 | None]: ...  # fmt: skip
def davies_bouldin(context: Context, X: Rows, labels: NDArray[np.int32], n_clusters: int) -> float: ...
def silhouette(
    context: Context, X: Rows, labels: NDArray[np.int32], n_clusters: int, metric: str
) -> tuple[_Float64, int]: ...
def orthonormalize(context: Context, Y: NDArray[Any], passes: int = 2) -> _Float64: ...
def weighted_rows(
    context: Context, X: Rows, weights: NDArray[Any], F: NDArray[Any], l2: float
) -> NDArray[Any]: ...
def randomized_svd(
    context: Context, X: Rows, k: int, oversamples: int, iterations: int, say: Any = None, start: Any = None
) -> tuple[NDArray[Any], _Float64, NDArray[Any]]: ...
def randomized_svd_of(
    context: Context, products: Any, n: int, d: int, wide: bool, k: int, oversamples: int,
    iterations: int, say: Any = None, start: Any = None,
) -> tuple[NDArray[Any], _Float64, NDArray[Any]]: ...  # fmt: skip
def projected_powers(
    context: Context, A: Rows, width: int, density: float, factor: _Float64 | None,
    weights: list[float], transition: bool, normalize: bool, concatenate: bool, from_start: bool,
    standardize: bool,
) -> tuple[NDArray[Any], _Float64, _Float64]: ...  # fmt: skip
def factorize_replicates(
    context: Context, X: Rows, k: list[int], stream: list[int], start: list[int], noise: float,
    tol: float, mean: float, max_iter: int, sweeps: int, inner_tol: float,
    H: NDArray[Any] | None = None,
) -> tuple[_Float64, _Int64, list[NDArray[Any]]]: ...  # fmt: skip

class BlockLloyd:
    """Lloyd's assignment on rows that come block by block."""

    def __init__(self, context: Context, n: int, metric: str) -> None: ...
    def set_centers(self, context: Context, centers: Rows) -> None: ...
    def assign(
        self, context: Context, X: Rows, first: int, weights: _Float64 | None,
        before: NDArray[np.int32] | None, longest: float, heaviest: float, sum: _Int64 | None,
        weight: _Int64 | None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], float]: ...  # fmt: skip

def cluster_parts(
    context: Context, X: Rows, weights: _Float64 | None, before: NDArray[np.int32] | None,
    labels: NDArray[np.int32], n_clusters: int, metric: str, longest: float, heaviest: float,
) -> tuple[Any, ...]: ...  # fmt: skip
def merge_parts(
    context: Context, indptr: _Int64, indices: NDArray[np.int32], sum: _Int64, other_indptr: _Int64,
    other_indices: NDArray[np.int32], other_sum: _Int64, minus: bool,
) -> tuple[_Int64, NDArray[np.int32], _Int64]: ...  # fmt: skip
def next_centers(
    context: Context, centers: Rows, indptr: _Int64 | None, indices: NDArray[np.int32] | None,
    sum: _Int64, weight: _Int64, metric: str, longest: float, heaviest: float,
) -> tuple[Any, int, float]: ...  # fmt: skip
def objective_by_sums(d: int, m: int) -> bool: ...
def sums_objective(
    context: Context, centers: Rows, sum: _Int64, weight: _Int64, metric: str, longest: float,
    heaviest: float, squares: float,
) -> float | None: ...  # fmt: skip

_Codes = tuple[_Int64, NDArray[np.int32], NDArray[Any]]
_Parameter = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

def products_at(context: Context, codes: _Codes, rows: NDArray[Any], W: NDArray[Any]) -> NDArray[Any]: ...
def reconstruct(
    context: Context, codes: _Codes, X: NDArray[Any], W_dec: NDArray[Any], bias: NDArray[Any] | None,
    scale: float, residual: NDArray[Any],
) -> tuple[NDArray[Any], _Float64]: ...  # fmt: skip
def gather_by_latent(context: Context, codes: _Codes, rows: NDArray[Any], m: int) -> NDArray[Any]: ...
def contrast(
    context: Context, codes: _Codes, labels: NDArray[np.int32] | None, m: int, temperature: float,
    weight: float, slope: NDArray[Any],
) -> float: ...  # fmt: skip
def train_latents(
    context: Context, parts: list[tuple[Any, ...]], X: NDArray[Any], encoder: _Parameter | None,
    decoder: _Parameter | None, bias: _Parameter | None, last: _Int64, rate: float, beta1: float,
    beta2: float, epsilon: float, step: int, lazy: bool, unit_norm: bool,
) -> _Float64: ...  # fmt: skip
