"""A fit of an autoencoder as far as it has come: its trainer, its place, what its epochs gave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.history import AutoencoderState
from latom._base.rows import Rows
from latom.encode.recipe import Recipe
from latom.encode.starts import directions, geometric_median
from latom.encode.trainer import StepResult, Trainer

Array = NDArray[Any]
SAMPLE = 32768  # rows that the bias before the encoder starts from
SAMPLED, FIRST, ORDER = 1, 2, 3  # streams of random numbers


@dataclass
class TrainingRun:
    """All that a resumed fit needs.

    Attributes
    ----------
    trainer : Trainer
    seed : int
        Of the first weights and the order of rows.
    epoch, done : int
        Epochs that are complete, and batches of the one that is not.
    sums : dict
        Over these batches.
    states : list
        Of complete epochs, and of calls of ``partial_fit``.
    kept : dict
        What is made of the weights when it is asked for; not pickled.
    """

    trainer: Trainer
    seed: int
    epoch: int = 0
    done: int = 0
    sums: dict[str, Any] = field(default_factory=dict)
    states: list[AutoencoderState] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"kept": {}}

    def weights(self) -> dict[str, Array | None]:
        """Copies of the weights, which later steps leave alone; the same ones until the next step."""
        if self.kept.get("steps") != self.trainer.steps:
            made = {n: None if v is None else np.array(v) for n, v in self.trainer.weights().items()}
            self.kept = {"steps": self.trainer.steps, "weights": made}
        copies: dict[str, Array | None] = self.kept["weights"]
        return copies

    @classmethod
    def start(cls, context: Any, rows: Rows, model: Any, seed: int) -> TrainingRun:
        """The first weights of a model for these rows."""
        d = rows.shape[1]
        m = 4 * d if model.n_latents is None else model.n_latents
        center = None
        if model.pre_bias is not None:
            chosen = np.sort(np.random.default_rng([seed, SAMPLED]).permutation(len(rows))[:SAMPLE])
            sample = measured(context, rows[chosen])
            mean = sample.mean(axis=0, dtype=np.float64)
            center = geometric_median(sample, mean) if model.pre_bias == "median" else mean
        first = directions(np.random.default_rng([seed, FIRST]), m, d).astype(rows.dtype)
        return cls(Trainer.start(first, model.tied, center, model.ema is not None), seed)

    @property
    def latents(self) -> int:
        """How many there are."""
        return len(self.trainer.arrays["encoder"])

    def batch(self, context: Any, rows: Rows, chosen: Array) -> Array:
        """Rows in the dtype of the weights."""
        dtype = self.trainer.arrays["encoder"].dtype
        return measured(context, np.ascontiguousarray(rows[chosen], dtype=dtype))

    def batches(
        self, context: Any, rows: Rows, labels: Array | None, model: Any
    ) -> Iterator[tuple[Array, Array | None, int]]:
        """The batches of this epoch that are left, each with its labels and its k."""
        n = len(rows)
        order = np.random.default_rng([self.seed, ORDER, self.epoch]).permutation(n)
        if labels is not None:
            order = order[in_pairs(labels[order])]
        size = min(model.batch_size, n)
        count = -(-n // size)
        for b in range(self.done, count):
            k = float(model.k)
            if model.k_schedule is not None:
                _, k0, epochs = model.k_schedule
                k = k0 + (k - k0) * min(1.0, (self.epoch + b / count) / epochs)
            chosen = np.sort(order[b * size : (b + 1) * size])  # sorted: a file is read forward
            alike = None if labels is None else labels[chosen]
            yield self.batch(context, rows, chosen), alike, min(max(round(k), 1), self.latents)

    def count(self, batch: Array, result: StepResult) -> None:
        """Adds a batch to the sums of its epoch."""
        tally(self.sums, batch, result)
        self.done += 1

    def numbers(self, recipe: Recipe, sums: dict[str, Any]) -> dict[str, float]:
        """What the batches of the sums gave."""
        spread = sums["square"] - float(sums["total"] @ sums["total"]) / sums["rows"]
        return {
            "objective": sums["loss"] / sums["rows"],
            "fvu": sums["squared"] / spread if spread > 0 else float("nan"),
            "l0": sums["active"] / sums["rows"],
            "dead": float(self.trainer.dead(recipe).mean()),
        }

    def end_epoch(self, states: list[AutoencoderState]) -> None:
        """The next epoch begins."""
        self.states, self.epoch, self.done, self.sums = list(states), self.epoch + 1, 0, {}


def in_pairs(labels: Array) -> Array:
    """An order in which rows of one label stand in pairs, each pair where its first row was.

    Rows in an order by chance rarely meet their like in a batch, where labels are many. So each has one
    beside it, but for the last of a label with an odd number of rows, and those that a batch's end parts.
    """
    by_label = np.argsort(labels, kind="stable")
    own = labels[by_label]
    starts = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])
    rank = np.arange(len(own)) - np.repeat(starts, np.diff(np.r_[starts, len(own)]))
    place = np.empty(len(own), np.int64)  # twice that of the pair's first row; the second comes right after
    place[by_label] = 2 * by_label
    second = rank % 2 == 1
    place[by_label[second]] = 2 * by_label[np.flatnonzero(second) - 1] + 1
    order: Array = np.argsort(place)
    return order


def tally(sums: dict[str, Any], batch: Array, result: StepResult) -> None:
    """Adds a batch to sums, which are empty before the first."""
    if not sums:
        sums["origin"] = batch.mean(axis=0, dtype=np.float64)
        sums |= {"rows": 0, "loss": 0.0, "squared": 0.0, "active": 0, "square": 0.0}
        sums["total"] = np.zeros(batch.shape[1])
    off = batch - sums["origin"]
    sums["rows"] += len(batch)
    sums["loss"] += len(batch) * result.loss
    sums["squared"] += result.squared
    sums["active"] += result.active
    sums["total"] = sums["total"] + off.sum(axis=0)
    sums["square"] += float(np.einsum("ij,ij->", off, off))


def measured(context: Any, X: Array) -> Array:
    """X, refused where its numbers are none that can be computed with."""
    Rows(context.function, X).core.norm2(context)
    return X
