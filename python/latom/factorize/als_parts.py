"""Parts of alternating least squares: an iteration by each solver, early stops, explanations, files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom.factorize.observed import MIXED, Blocks, Side, as_csr_rows
from latom.factorize.packed_search import Best

Array = NDArray[Any]

RECALL_AT = 20


def steps_for(spread: float) -> int:
    """Steps that leave an eighth of the squared error where eigenvalues are so far apart; 3 at most."""
    return 1 if spread <= 2 else 2 if spread <= 5 else 3


class Epochs:
    """Iterations of a model on both sides of X; factors that are given stay as they are."""

    def __init__(self, model: Any, name: str, left: Side, right: Side) -> None:
        self.left, self.right = left, right
        self.solver, self.steps = model.solver, model.cg_steps
        if self.solver == "auto" and not left.unweighted():
            self.solver = "cg" if model.factors > MIXED else "cholesky"
            self.steps = min(self.steps, steps_for(left.spread()))
        self._blocks = Blocks(left, right, model.block_size) if self.solver == "block" else None

    def step(self, context: Any, U: Array, V: Array) -> tuple[Array, Array, float]:
        """(U, V, objective) after one more iteration."""
        U, V = U.copy(), V.copy()
        if self._blocks is not None:
            objective, _ = self._blocks.step(context, U, V)
            return U, V, objective
        self.left.solve(context, V, U, solver=self.solver, steps=self.steps)
        value, _ = self.right.solve(context, U, V, solver=self.solver, steps=self.steps)
        return U, V, value + self.left.penalty(U)


def held_out_recall(context: Any, U: Array, V: Array, have: Any, held_out: Any) -> float:
    """Mean over users of the share of held-out items, at most 20 of them, among the 20 best of the others."""
    later = as_csr_rows(context.function, held_out, U.dtype, "validation").array
    users = np.flatnonzero(np.diff(later.indptr))
    if not len(users):
        return 0.0
    rows = sp.csr_array((have.data, have.indices, have.indptr), shape=have.shape)[users]
    ids, _ = Best(context, V, "dot").without(
        context, np.ascontiguousarray(U[users]), min(RECALL_AT, len(V)), rows
    )
    chosen = sp.csr_array((later.data, later.indices, later.indptr), shape=later.shape)[users]
    m, counts = len(V), np.diff(chosen.indptr)
    keys = np.repeat(np.arange(len(users), dtype=np.int64), counts) * m + chosen.indices
    asked = np.where(ids >= 0, np.arange(len(users), dtype=np.int64)[:, None] * m + ids, -1)
    hits = np.isin(asked, keys).sum(axis=1)
    return float((hits / np.minimum(counts, RECALL_AT)).mean())


def explanation(
    side: Side, context: Any, V: Array, item: int, user_weights: Any, N: int
) -> tuple[float, list[tuple[int, float]], Any]:
    """The score of an item as the sum of what the entries of the one row of `side` add."""
    index = side.rows.array.indices
    a, b = side.weights()
    W = V[index].astype(np.float64)
    if user_weights is None:
        G = side.gram(context, V)
        A = (W.T * a) @ W + side.ridge[0] * np.eye(V.shape[1])
        user_weights = A if G is None else A + G
    added = (W @ np.linalg.solve(user_weights, V[item].astype(np.float64))) * b
    chosen = np.flatnonzero(b > 0)
    order = chosen[np.argsort(-added[chosen], kind="stable")]
    return float(added.sum()), [(int(index[p]), float(added[p])) for p in order[:N]], user_weights


PARAMETERS = (
    "factors",
    "regularization",
    "alpha",
    "iterations",
    "calculate_training_loss",
    "num_threads",
    "random_state",
    "solver",
    "block_size",
    "cg_steps",
    "loss",
    "reg_exponent",
    "tol",
    "patience",
)
FACTORS = ("user_factors", "item_factors")
UNSET = "unset_parameters"  # names of those that are None


def save_model(
    model: Any, file: Any, names: tuple[str, ...] = PARAMETERS, learned: tuple[str, ...] = FACTORS
) -> None:
    """What a model has learned, and those parameters that are numbers, words, arrays or None."""
    defaults, unset, parts = type(model)(), [], {}
    for name in names:
        value = getattr(model, name, None)
        if isinstance(value, (int, float, str, list, tuple, np.generic, np.ndarray)):
            parts[name] = np.asarray(value)
        elif value is None and getattr(defaults, name, None) is not None:
            unset.append(name)
    parts |= {name: np.asarray(getattr(model, name)) for name in learned if hasattr(model, name)}
    if hasattr(model, "dtype"):
        parts["dtype"] = np.asarray(np.dtype(model.dtype).name)
    if unset:
        parts[UNSET] = np.array(unset)
    for name, part in parts.items():
        if part.dtype.hasobject:  # numpy before 2 stores a keyword allow_pickle as one more array
            raise ValueError(
                f"{type(model).__name__}.save: {name} must hold numbers or words; got dtype {part.dtype}. "
                "Convert it before it is saved."
            )
    np.savez(file, **parts)  # type: ignore[arg-type]


def load_model(
    kind: Any, file: Any, names: tuple[str, ...] = PARAMETERS, learned: tuple[str, ...] = FACTORS
) -> Any:
    """A model of this class from what was saved; names that it does not know are left out."""
    if isinstance(file, (str, os.PathLike)):
        file = os.fspath(file)
        file = file if file.endswith(".npz") else file + ".npz"
    model = kind()
    known = {*names, *learned}
    with np.load(file, allow_pickle=False) as parts:
        for name, value in parts.items():
            if name == "dtype":
                model.dtype = np.dtype(str(value))
            elif name == UNSET:
                for each in known.intersection(value.tolist()):
                    setattr(model, each, None)
            elif name in known:
                setattr(model, name, value if value.shape else value.item())
    model.n_features_in_ = len(model.item_factors)
    return model
