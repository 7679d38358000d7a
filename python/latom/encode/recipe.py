"""What a step of training is told: the parameters of the estimator, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latom._base.checks import check_choice, check_flag, check_integer, check_number, check_range, shown


@dataclass(frozen=True)
class Recipe:
    """What a step is told besides weights and rows; names as in :class:`latom.SparseAutoencoder`."""

    activation: str = "relu"
    selection: str = "row"
    multi_k: int = 4
    multi_k_weight: float = 1 / 8
    aux_k: int = 0
    aux_weight: float = 1 / 32
    dead_steps: int = 30
    dead_tokens: int | None = None
    contrast_weight: float = 0.0
    temperature: float = 0.2
    learning_rate: float = 1e-3
    lazy: bool = False
    unit_norm: bool = True
    ema: float | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 6.25e-10

    @property
    def silence(self) -> int:
        """Steps, or rows, after which a latent is dead."""
        return self.dead_steps if self.dead_tokens is None else self.dead_tokens


def checked_recipe(name: str, model: Any, d: int) -> Recipe:
    """The parameters of a :class:`latom.SparseAutoencoder`, for rows of d columns."""
    if model.n_latents is not None:
        check_integer(name, "n_latents", model.n_latents)
    for what in ("k", "multi_k", "dead_steps", "batch_size", "max_epochs"):
        check_integer(name, what, getattr(model, what))
    if model.dead_tokens is not None:
        check_integer(name, "dead_tokens", model.dead_tokens, 2**62)
    check_choice(name, "activation", model.activation, ("relu", "identity", "abs"))
    check_choice(name, "selection", model.selection, ("row", "batch"))
    check_choice(name, "optimizer", model.optimizer, ("adam", "lazy-adam"))
    if model.pre_bias is not None:
        check_choice(name, "pre_bias", model.pre_bias, ("median", "mean"))
    if model.selection == "batch" and model.activation != "relu":
        raise ValueError(
            f"{name}: activation must be 'relu' with selection 'batch'; got {shown(model.activation)}. "
            "Set it to 'relu'."
        )
    if model.ema is not None and not 0 < check_range(name, "ema", model.ema, 1.0) < 1:
        raise ValueError(f"{name}: ema must be between 0 and 1; got {shown(model.ema)}. Use 0.999, or None.")
    if model.callback is not None and not callable(model.callback):
        raise TypeError(
            f"{name}: callback must be callable or None; got {shown(model.callback)}. "
            "Pass a function of one argument, the state."
        )
    if not isinstance(model.verbose, (bool, np.bool_)):
        check_integer(name, "verbose", model.verbose, low=0)
    _check_schedule(name, model.k_schedule)
    model._check_place(name)
    for what in ("tied", "sparse_output"):
        check_flag(name, what, getattr(model, what))
    return Recipe(
        activation=model.activation,
        selection=model.selection,
        multi_k=model.multi_k,
        multi_k_weight=check_range(name, "multi_k_weight", model.multi_k_weight),
        aux_k=max(1, d // 2) if _auto_aux(name, model.aux_k) else model.aux_k,
        aux_weight=check_range(name, "aux_weight", model.aux_weight),
        dead_steps=model.dead_steps,
        dead_tokens=model.dead_tokens,
        contrast_weight=check_range(name, "contrast_weight", model.contrast_weight),
        temperature=check_number(name, "temperature", model.temperature),
        learning_rate=check_number(name, "learning_rate", model.learning_rate),
        lazy=model.optimizer == "lazy-adam",
        unit_norm=check_flag(name, "unit_norm", model.unit_norm),
        ema=model.ema,
    )


def _auto_aux(name: str, aux_k: Any) -> bool:
    if isinstance(aux_k, str):
        if aux_k != "auto":
            raise ValueError(
                f"{name}: aux_k must be 'auto' or an integer of at least 0; got {shown(aux_k)}. Use 'auto'."
            )
        return True
    check_integer(name, "aux_k", aux_k, low=0)
    return False


def _check_schedule(name: str, plan: Any) -> None:
    if plan is None:
        return
    if not isinstance(plan, (tuple, list)) or len(plan) != 3 or plan[0] != "linear":
        raise ValueError(
            f"{name}: k_schedule must be None or ('linear', k0, epochs); got {shown(plan)}. "
            "Use ('linear', 4 * k, 2), say."
        )
    check_integer(name, "k_schedule[1]", plan[1])
    check_number(name, "k_schedule[2]", plan[2])
