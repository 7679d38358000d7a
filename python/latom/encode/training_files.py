"""A training run in one file: an archive of numpy's with a JSON text of parameters and place."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from latom._base.checks import shown
from latom._base.history import AutoencoderState
from latom.encode.checkpoint import Checkpoint
from latom.encode.trainer import Trainer
from latom.encode.training_run import TrainingRun

VERSION = 1


def save_training(function: str, path: str | os.PathLike[str], model: Any) -> None:
    """Writes parameters, weights, moments and place of a fit. The file appears whole or not at all."""
    parameters = {name: value for name, value in model.get_params().items() if name != "callback"}
    if not isinstance(parameters["random_state"], int | None):
        parameters["random_state"] = None  # of a generator: the seed that was drawn is kept
    run: TrainingRun = model._run
    about = {
        "version": VERSION,
        "parameters": parameters,
        "steps": run.trainer.steps,
        "threshold": run.trainer.threshold,
        "seed": str(run.seed),
        "epoch": run.epoch,
        "done": run.done,
        "sums": {name: value for name, value in run.sums.items() if not isinstance(value, np.ndarray)},
        "states": [asdict(state) for state in run.states],
        "features": model.n_features_in_,
        "names": list(getattr(model, "feature_names_in_", [])),
    }
    arrays = {f"trainer_{name}": value for name, value in run.trainer.arrays.items()}
    arrays |= {f"sums_{name}": value for name, value in run.sums.items() if isinstance(value, np.ndarray)}
    target = Checkpoint(function, path).path
    partial = target.with_name(target.name + ".partial")
    try:
        with partial.open("wb") as stream:
            np.savez(stream, **arrays | {"about": np.array(json.dumps(about, default=_plain))})  # type: ignore[arg-type]
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """Numbers of numpy's as JSON has them."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"SparseAutoencoder.save_checkpoint: parameters must be numbers, strings or None to be saved; got "
        f"{shown(value)}. Set it to such a one."
    )


def load_training(function: str, path: str | os.PathLike[str], model: Any) -> None:
    """Reads into a model what :func:`save_training` wrote."""
    checkpoint = Checkpoint(function, path)
    file: Path = checkpoint.path
    with checkpoint.reading(file), file.open("rb") as stream, np.load(stream) as archive:
        about = json.loads(str(archive["about"]))
        arrays = {name: archive[name] for name in archive.files if name != "about"}
        if not isinstance(about, dict) or about.get("version") != VERSION:
            raise ValueError(f"version {about.get('version') if isinstance(about, dict) else about!r}")
        trainer = {name[8:]: value for name, value in arrays.items() if name.startswith("trainer_")}
        _check_shapes(trainer)
        parameters = about["parameters"]
        if isinstance(parameters["k_schedule"], list):
            parameters["k_schedule"] = tuple(parameters["k_schedule"])
        model.set_params(**parameters)
        sums = dict(about["sums"])
        sums |= {name[5:]: value for name, value in arrays.items() if name.startswith("sums_")}
        model._run = TrainingRun(
            Trainer(trainer, int(about["steps"]), float(about["threshold"])),
            int(about["seed"]),
            int(about["epoch"]),
            int(about["done"]),
            sums,
            [AutoencoderState(**state) for state in about["states"]],
        )
        model.n_features_in_ = int(about["features"])
        if about["names"]:
            model.feature_names_in_ = np.array(about["names"], dtype=object)
        model._publish()


def _check_shapes(arrays: dict[str, Any]) -> None:
    m, d = arrays["encoder"].shape
    shapes = {"encoder": (m, d), "decoder": (m, d), "b_enc": (m,), "b_pre": (d,)}
    dtype = arrays["encoder"].dtype
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"weights of {dtype}")
    for name, value in arrays.items():
        plain = name.removeprefix("ema_").removesuffix("_first").removesuffix("_second")
        shape = (m,) if name in ("last", "silent") else shapes[plain]
        kind = np.int64 if name in ("last", "silent") else dtype
        if value.shape != shape or value.dtype != kind:
            raise ValueError(f"{name} of shape {value.shape} and {value.dtype}")
