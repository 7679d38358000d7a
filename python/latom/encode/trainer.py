"""One step of training a k-sparse autoencoder: codes, residuals, slopes, and Adam, in the core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.rows import Rows
from latom.encode.atoms import Atoms
from latom.encode.batch_codes import CodeArrays, batch_codes, row_codes
from latom.encode.recipe import Recipe

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class StepResult:
    """What a step met, with the weights that it started from."""

    loss: float
    squared: float  # sum of |x - x'|^2
    active: int  # stored entries of the codes
    aux: float  # the loss of the dead latents
    contrast: float


class Trainer:
    """Weights in training, with all that the next step depends on.

    Attributes
    ----------
    arrays : dict
        Weights, moments, counters: what a checkpoint holds. ``encoder`` and ``decoder`` (m, d) (the latter
        absent where weights are tied), ``b_enc`` (m,), ``b_pre`` (d,), each with ``_first`` and ``_second``
        moments; ``last`` and ``silent`` (m,); ``ema_`` averages.
    steps : int
        Steps so far.
    threshold : float
        What entries of a batch were kept above, smoothed over steps; 0 before the first.
    """

    def __init__(self, arrays: dict[str, Array], steps: int = 0, threshold: float = 0.0) -> None:
        self.arrays, self.steps, self.threshold = arrays, steps, threshold

    @classmethod
    def start(cls, rows: Array, tied: bool, b_pre: Array | None, ema: bool) -> Trainer:
        """A trainer of latents that start as the given rows, (m, d)."""
        m = len(rows)
        dtype = rows.dtype
        weights = {"encoder": rows, "b_enc": np.zeros(m, dtype)}
        if not tied:
            weights["decoder"] = rows.copy()
        if b_pre is not None:
            weights["b_pre"] = np.array(b_pre, dtype)
        arrays: dict[str, Array] = {}
        for name, value in weights.items():
            arrays[name] = value
            arrays[f"{name}_first"], arrays[f"{name}_second"] = np.zeros_like(value), np.zeros_like(value)
            if ema:
                arrays[f"ema_{name}"] = value.copy()
        arrays["last"], arrays["silent"] = np.zeros(m, np.int64), np.zeros(m, np.int64)
        return cls(arrays)

    @property
    def tied(self) -> bool:
        """Whether the encoder's rows decode."""
        return "decoder" not in self.arrays

    def weights(self) -> dict[str, Array | None]:
        """The weights that encode: averages where there are any."""
        names = ("encoder", "decoder", "b_enc", "b_pre")
        return {name: self.arrays.get(f"ema_{name}", self.arrays.get(name)) for name in names}

    def dead(self, recipe: Recipe) -> NDArray[np.bool_]:
        """Latents that have been silent for too long."""
        dead: NDArray[np.bool_] = self.arrays["silent"] >= recipe.silence
        return dead

    # ---- a step

    def step(
        self, context: Any, X: Array, k: int, recipe: Recipe, labels: NDArray[np.int32] | None = None
    ) -> StepResult:
        """Train on the rows X (n, d), in the weights' dtype; k latents per row. labels (n,): rows alike."""
        core, (n, d) = backend(), X.shape
        b_pre = self.arrays.get("b_pre")
        W_dec = self.arrays.get("decoder", self.arrays["encoder"])
        centered = X if b_pre is None else X - b_pre
        codes, wider, least = self._codes(context, centered, k, recipe)
        scale, residuals = 2.0 / (n * d), []
        parts: list[Any] = []

        def reconstruct(part: CodeArrays, target: Array, bias: Array | None, weight: float) -> float:
            residual = np.empty((n, d), X.dtype)
            slope, squared = core.reconstruct(context, part, target, W_dec, bias, weight, residual)
            parts.append((part, slope, residual, weight))
            return float(squared.sum())

        squared = reconstruct(codes, X, b_pre, scale)
        residuals.append(parts[0][2])
        loss = squared / (n * d)
        contrast = 0.0
        if recipe.contrast_weight:
            m = len(self.arrays["encoder"])
            args = (recipe.temperature, recipe.contrast_weight, parts[0][1])
            contrast = core.contrast(context, codes, labels, m, *args)
            loss += recipe.contrast_weight * contrast
        if wider is not None:
            more = reconstruct(wider, X, b_pre, recipe.multi_k_weight * scale)
            loss += recipe.multi_k_weight * more / (n * d)
            residuals.append(parts[1][2])
        fired = np.bincount(codes[1], minlength=len(self.arrays["silent"])) > 0
        silent = self.arrays["silent"] + (1 if recipe.dead_tokens is None else n)
        silent[fired] = 0
        aux = 0.0
        dead = np.flatnonzero(silent >= recipe.silence)
        if recipe.aux_k and recipe.aux_weight and len(dead):
            aux = self._aux(context, centered, dead, -residuals[0], recipe, reconstruct)
            loss += recipe.aux_weight * aux
        if not np.isfinite(loss):
            raise ValueError(
                f"{context.function}: learning_rate must be one that training survives; got a loss of {loss} "
                f"in step {self.steps + 1}. Lower it, or scale X down."
            )
        self._move(context, centered, parts, residuals, scale, recipe)
        self.arrays["silent"] = silent
        if recipe.selection == "batch" and least > 0:
            rate = 1.0 if self.threshold == 0 else 0.01
            self.threshold += rate * (least - self.threshold)
        return StepResult(loss, squared, len(codes[1]), aux, contrast)

    def _codes(
        self, context: Any, centered: Array, k: int, recipe: Recipe
    ) -> tuple[CodeArrays, CodeArrays | None, float]:
        """Codes with k entries per row, with multi_k times as many, and the least entry of a batch."""
        table = Atoms(self.arrays["encoder"], "dot")
        table.bias = self.arrays["b_enc"].astype(np.float64)
        m = len(table.rows)
        more = min(k * recipe.multi_k, m) if recipe.multi_k_weight else k
        rows = Rows(context.function, centered)
        if recipe.selection == "batch":
            codes, least = batch_codes(context, table, rows, k)
            return codes, batch_codes(context, table, rows, more)[0] if more > k else None, least
        # One sweep gives both: the k best stand first among the best of more.
        # Of the best of any sign, those above 0 are the best above 0, and the core finds them sooner.
        relu = recipe.activation == "relu"
        values, indices, _ = table.topk(context, rows, more, "identity" if relu else recipe.activation)
        wider = row_codes(values, indices, relu) if more > k else None
        return row_codes(values[:, :k], indices[:, :k], relu), wider, 0.0

    def _aux(
        self, context: Any, centered: Array, dead: Array, target: Array, recipe: Recipe, reconstruct: Any
    ) -> float:
        """The share of the residual that dead latents leave: it is a constant, and no bias is added."""
        spread = target - target.mean(axis=0, dtype=np.float64).astype(target.dtype)
        total = float(np.einsum("ij,ij->", spread, spread, dtype=np.float64))
        if not total > 0:
            return 0.0
        table = Atoms(np.ascontiguousarray(self.arrays["encoder"][dead]), "dot")
        table.bias = self.arrays["b_enc"][dead].astype(np.float64)
        k = min(recipe.aux_k, len(dead))
        way = "abs" if recipe.activation == "abs" else "relu"
        values, indices, _ = table.topk(context, Rows(context.function, centered), k, way)
        codes = row_codes(values, dead.astype(np.int32)[indices])
        return float(reconstruct(codes, target, None, 2 * recipe.aux_weight / total)) / total

    # ---- Adam

    def _move(
        self, context: Any, centered: Array, parts: Any, residuals: Any, scale: float, recipe: Recipe
    ) -> None:
        step = self.steps + 1
        of = self._parameter
        by_encoder = backend().train_latents(
            context,
            parts,
            centered,
            of("encoder"),
            of("decoder"),
            of("b_enc"),
            self.arrays["last"],
            recipe.learning_rate,
            recipe.beta1,
            recipe.beta2,
            recipe.epsilon,
            step,
            recipe.lazy,
            recipe.unit_norm,
        )
        self.steps = step
        if "b_pre" in self.arrays:
            gradient = -by_encoder
            for residual, weight in zip(residuals, (1.0, recipe.multi_k_weight), strict=False):
                gradient += weight * scale * residual.sum(axis=0, dtype=np.float64)
            self._adam("b_pre", gradient, step, recipe)
        if recipe.ema is not None:
            for name in ("encoder", "decoder", "b_enc", "b_pre"):
                if name in self.arrays:
                    average = self.arrays[f"ema_{name}"]
                    average += self.arrays[name].dtype.type(1 - recipe.ema) * (self.arrays[name] - average)

    def _parameter(self, name: str) -> tuple[Array, Array, Array] | None:
        if name not in self.arrays:
            return None
        return self.arrays[name], self.arrays[f"{name}_first"], self.arrays[f"{name}_second"]

    def _adam(self, name: str, gradient: Array, step: int, recipe: Recipe) -> None:
        value = self.arrays[name]
        first, second = self.arrays[f"{name}_first"], self.arrays[f"{name}_second"]
        first[:] = recipe.beta1 * first + (1 - recipe.beta1) * gradient
        second[:] = recipe.beta2 * second + (1 - recipe.beta2) * gradient**2
        root = np.sqrt(second / (1 - recipe.beta2**step)) + recipe.epsilon
        value -= (recipe.learning_rate / (1 - recipe.beta1**step) * first / root).astype(value.dtype)
