"""Small checkpoints of a top-k autoencoder, in each layout that `TopKEncoder.from_pretrained` reads."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

D, M, K = 4, 6, 2


@dataclass
class Layout:
    """One way to store the weights of an encoder.

    ``parts`` says which tensor is which parameter of the encoder; a name in ".T" is stored transposed.
    """

    file: str
    parts: dict[str, str]
    config_file: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    k_at: tuple[str, ...] = ("k",)
    folder: bool = True

    def tensors(self, rng: np.random.Generator) -> dict[str, Any]:
        """The tensors by their names, of random weights."""
        shapes = {"W_enc": (M, D), "W_dec": (M, D), "b_enc": (M,), "b_pre": (D,), "b_dec": (D,)}
        made: dict[str, Any] = {}
        for parameter, name in self.parts.items():
            value = rng.standard_normal(shapes[parameter]).astype(np.float32)
            made[name.removesuffix(".T")] = np.ascontiguousarray(value.T if name.endswith(".T") else value)
        return made | self.extra


_LENS = {"W_enc": "W_enc.T", "W_dec": "W_dec", "b_enc": "b_enc", "b_dec": "b_dec"}
_TIED = {"W_enc": "encoder.weight", "b_enc": "latent_bias", "b_pre": "pre_bias"}
LAYOUTS = {
    "sae_lens": Layout(
        "sae_weights.safetensors",
        _LENS,
        "cfg.json",
        {
            "architecture": "topk",
            "k": K,
            "normalize_activations": "none",
            "apply_b_dec_to_input": True,
            "rescale_acts_by_decoder_norm": False,
        },
    ),
    "sparsify": Layout(
        "sae.safetensors",
        {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "W_dec", "b_dec": "b_dec"},
        "cfg.json",
        {"activation": "topk", "k": K, "transcode": False, "skip_connection": False},
    ),
    "dictionary_learning": Layout(
        "ae.pt",
        {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight.T", "b_pre": "b_dec"},
        "config.json",
        {"trainer": {"dict_class": "AutoEncoderTopK"}},
        {"k": np.array(K)},
        k_at=(),
    ),
    "openai": Layout(
        "layer.pt",
        {**_TIED, "W_dec": "decoder.weight.T"},
        extra={"activation": "TopK", "activation_state_dict": {"k": K, "postact_fn": "ReLU"}},
        arguments={"input_normalized": True},
        folder=False,
        k_at=(),
    ),
    "sentence_transformers": Layout(
        "model.safetensors",
        _TIED,
        "config.json",
        {"k": K, "normalize": False},
        {"stats_last_nonzero": np.zeros(M, np.int64)},
    ),
    "sentence_transformers_bin": Layout(
        "pytorch_model.bin", _TIED, "config.json", {"k": K, "normalize": False}
    ),
    "gemma_scope": Layout("params.npz", _LENS, arguments={"k": K}, k_at=()),
}


def save(layout: Layout, folder: Path, tensors: dict[str, Any], config: Any = None) -> Path:
    """Write a checkpoint; returns what to pass to ``from_pretrained``."""
    file = folder / layout.file
    if layout.config_file:
        text = (
            config if isinstance(config, bytes) else json.dumps(layout.config if config is None else config)
        )
        (folder / layout.config_file).write_bytes(text if isinstance(text, bytes) else text.encode())
    if file.suffix == ".npz":
        np.savez(file, **tensors)
    elif file.suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, file)
    else:
        import torch

        torch.save({name: as_torch(value) for name, value in tensors.items()}, file)
    return folder if layout.folder else file


def as_torch(value: Any) -> Any:
    """A numpy array as a tensor; anything else as it is."""
    import torch

    return (
        torch.from_numpy(value.copy())
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiubc"
        else value
    )
