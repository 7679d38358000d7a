"""Trained weights as other libraries read them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from latom._base.checks import check_choice
from latom.encode.checkpoint import Checkpoint

FORMATS = ("saelens", "sparsify", "sentence-transformers")


def write(function: str, path: str | os.PathLike[str], format: str, model: Any) -> None:
    """Writes the weights of a trained SparseAutoencoder into a folder."""
    check_choice(function, "format", format, FORMATS)
    checkpoint = Checkpoint(function, path)
    known = ("relu", "abs") if format == "saelens" else ("relu",)
    if model.activation not in known:
        raise ValueError(
            f"{function}: activation must be {' or '.join(map(repr, known))} in checkpoints of {format}; got "
            f"{model.activation!r}. Use save_checkpoint, or pickle."
        )
    if model.selection == "batch" and format != "saelens":
        raise ValueError(
            f"{function}: format must be 'saelens' for selection 'batch', whose threshold the others do not "
            f"hold; got {format!r}. Use 'saelens'."
        )
    if format == "sentence-transformers" and not model.tied:
        raise ValueError(
            f"{function}: format must be 'saelens' or 'sparsify' for weights that are not tied; got "
            f"{format!r}. Use 'saelens'."
        )
    save = checkpoint._import("safetensors.numpy", "pretrained").save_file
    folder = checkpoint.path
    folder.mkdir(parents=True, exist_ok=True)
    {"saelens": _sae_lens, "sparsify": _sparsify, "sentence-transformers": _sentence_transformers}[format](
        folder, model, save
    )


def _parts(model: Any) -> dict[str, Any]:
    """The weights as contiguous arrays; a bias of zeros where there is none."""
    d = model.components_.shape[1]
    b_pre = np.zeros(d, model.components_.dtype) if model.b_pre_ is None else model.b_pre_
    return {"enc": model.encoder_components_, "dec": model.components_, "b_enc": model.b_enc_, "b_pre": b_pre}


def _write(folder: Path, name: str, config: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(config, indent=2), encoding="utf-8")


def _sae_lens(folder: Path, model: Any, save: Any) -> None:
    w = _parts(model)
    m, d = w["dec"].shape
    tensors = {
        "W_enc": np.ascontiguousarray(w["enc"].T),
        "W_dec": np.array(w["dec"]),
        "b_enc": w["b_enc"],
        "b_dec": w["b_pre"],
    }
    batch = model.selection == "batch"
    config = {
        "architecture": "jumprelu" if batch else "abstopk" if model.activation == "abs" else "topk",
        "d_in": d,
        "d_sae": m,
        "dtype": str(w["dec"].dtype),
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {},
    }
    if batch:
        tensors["threshold"] = np.full(m, max(model.threshold_, 0.0), w["dec"].dtype)
    else:
        config |= {"k": min(model.k, m), "rescale_acts_by_decoder_norm": False}
    save(tensors, folder / "sae_weights.safetensors")
    _write(folder, "cfg.json", config)


def _sparsify(folder: Path, model: Any, save: Any) -> None:
    w = _parts(model)
    m, d = w["dec"].shape
    tensors = {
        "encoder.weight": np.array(w["enc"]),
        "encoder.bias": w["b_enc"],
        "W_dec": np.array(w["dec"]),
        "b_dec": w["b_pre"],
    }
    save(tensors, folder / "sae.safetensors")
    config = {
        "activation": "topk",
        "expansion_factor": max(1, m // d),
        "normalize_decoder": bool(model.unit_norm),
        "num_latents": m,
        "k": min(model.k, m),
        "multi_topk": bool(model.multi_k_weight),
        "skip_connection": False,
        "transcode": False,
        "d_in": d,
    }
    _write(folder, "cfg.json", config)


def _sentence_transformers(folder: Path, model: Any, save: Any) -> None:
    w = _parts(model)
    m, d = w["dec"].shape
    # Tied weights are stored once; its decoder is the transpose of them.
    tensors = {"encoder.weight": np.array(w["enc"]), "latent_bias": w["b_enc"], "pre_bias": w["b_pre"]}
    zero = np.zeros(m, np.int64)
    save(tensors | {"stats_last_nonzero": zero}, folder / "model.safetensors")
    aux = model.aux_k if isinstance(model.aux_k, int) else max(1, d // 2)
    config = {
        "input_dim": d,
        "hidden_dim": m,
        "k": min(model.k, m),
        "k_aux": aux,
        "normalize": False,
        "dead_threshold": model.dead_steps,
    }
    _write(folder, "config.json", config)
