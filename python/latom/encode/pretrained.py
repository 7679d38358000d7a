"""Weights of top-k autoencoders as other libraries write them, as parameters of TopKEncoder.

Each loader names the tensors that it uses and those that are only statistics of training. Anything else in a
file would change the codes and is refused.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Set
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_numpy, widen

Tensors = dict[str, Any]

_STATISTICS = {"stats_last_nonzero", "latents_activation_frequency", "latents_mean_square"}
_SAFETENSORS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64}


def load(
    function: str, path: str | os.PathLike[str], k: int | None, input_normalized: bool
) -> dict[str, Any]:
    """Parameters of TopKEncoder from the checkpoint at path."""
    return _Checkpoint(function, Path(path), k, input_normalized).load()


class _Checkpoint:
    def __init__(self, function: str, path: Path, k: int | None, input_normalized: bool) -> None:
        self.function, self.path, self.k, self.input_normalized = function, path, k, input_normalized

    def load(self) -> dict[str, Any]:
        """Tells the format by the names of the files."""
        path = self.path
        if path.suffix == ".npz" and path.is_file():
            return self._gemma_scope(path)
        if path.suffix == ".pt" and path.is_file() and path.name != "ae.pt":
            return self._openai(path)
        folder = path.parent if path.is_file() else path
        for name, loader in (
            ("sae_weights.safetensors", self._sae_lens),
            ("sae.safetensors", self._sparsify),
            ("ae.pt", self._dictionary_learning),
            ("model.safetensors", self._sentence_transformers),
            ("pytorch_model.bin", self._sentence_transformers),
            ("params.npz", self._gemma_scope),
        ):
            if (folder / name).is_file():
                return loader(folder / name)
        raise FileNotFoundError(
            f"{self.function}: path must be a checkpoint of SAELens, sparsify, dictionary_learning, OpenAI, "
            f"sentence-transformers or a .npz file; got {str(path)!r}. Download it first, and pass the "
            "folder that holds the weights."
        )

    # ---- the formats

    def _sae_lens(self, file: Path) -> dict[str, Any]:
        config = self._config(file, "cfg.json")
        kind = config.get("activation_fn_str", config.get("activation_fn"))  # up to version 5
        architecture = config.get("architecture", "topk" if kind == "topk" else "standard")
        if architecture != "topk" and not (architecture == "standard" and kind == "topk"):
            self._refuse("a top-k autoencoder", f"architecture {architecture!r}")
        if config.get("normalize_activations", "none") not in ("none", None):
            self._refuse(
                "without scaling of its input", f"normalize_activations {config['normalize_activations']!r}"
            )
        t = self._tensors(file, {"W_enc", "W_dec", "b_enc", "b_dec"})
        own = config["k"] if config.get("k") else (config.get("activation_fn_kwargs") or {}).get("k")
        return {
            "W_enc": _rows(t["W_enc"].T),
            "W_dec": _rows(t["W_dec"]),
            "b_enc": t["b_enc"],
            "b_pre": t["b_dec"] if config.get("apply_b_dec_to_input", True) else None,
            "b_dec": t["b_dec"],
            "k": self._own_k(own),
            "activation": "topk-relu",
            "rescale_by_decoder_norm": bool(config.get("rescale_acts_by_decoder_norm", False)),
        }

    def _sparsify(self, file: Path) -> dict[str, Any]:
        config = self._config(file, "cfg.json")
        for option, plain in (
            ("activation", "topk"),
            ("skip_connection", False),
            ("embed_skip", False),
            ("gram_lookup", False),
        ):
            if config.get(option, plain) != plain:
                self._refuse(f"of {option} {plain!r}", repr(config[option]))
        t = self._tensors(file, {"encoder.weight", "encoder.bias", "W_dec", "b_dec"})
        return {
            "W_enc": _rows(t["encoder.weight"]),
            "W_dec": _rows(t["W_dec"]),
            "b_enc": t["encoder.bias"],
            "b_pre": None if config.get("transcode", False) else t["b_dec"],
            "b_dec": t["b_dec"],
            "k": self._own_k(config.get("k")),
            "activation": "relu",
        }

    def _dictionary_learning(self, file: Path) -> dict[str, Any]:
        kind = self._config(file, "config.json").get("trainer", {}).get("dict_class")
        if kind != "AutoEncoderTopK":  # the others apply the threshold
            self._refuse("of dict_class 'AutoEncoderTopK'", repr(kind))
        names = {"encoder.weight", "encoder.bias", "decoder.weight", "b_dec"}
        t = self._tensors(file, names, {"k", "threshold"})
        return {
            "W_enc": _rows(t["encoder.weight"]),
            "W_dec": _rows(t["decoder.weight"].T),
            "b_enc": t["encoder.bias"],
            "b_pre": t["b_dec"],
            "k": self._own_k(t.get("k")),
            "activation": "relu",
        }

    def _openai(self, file: Path) -> dict[str, Any]:
        names = {"encoder.weight", "pre_bias", "latent_bias", "activation"}
        decoders = {"decoder.weight", "decoder.linear.weight"}
        nested = {"activation_state_dict", "activation_state_dict.k", "activation_state_dict.postact_fn"}
        t = self._tensors(file, names, decoders | nested | _STATISTICS)
        if t["activation"] != "TopK":
            self._refuse("a top-k autoencoder", f"activation {t['activation']!r}")
        state = t.get("activation_state_dict", {})
        after = state.get("postact_fn", t.get("activation_state_dict.postact_fn", "ReLU"))
        if after not in ("ReLU", "Identity"):
            self._refuse("with ReLU or Identity after top-k", repr(after))
        self._need_normalized_input()
        return {
            "W_enc": _rows(t["encoder.weight"]),
            "W_dec": _rows(t["decoder.weight"].T) if "decoder.weight" in t else None,
            "b_enc": t["latent_bias"],
            "b_pre": t["pre_bias"],
            "k": self._own_k(state.get("k", t.get("activation_state_dict.k"))),
            "activation": "topk-relu" if after == "ReLU" else "identity",
        }

    def _sentence_transformers(self, file: Path) -> dict[str, Any]:
        config = self._config(file, "config.json")
        if config.get("normalize", False):
            self._need_normalized_input()
        # Tied weights are stored once, under either name.
        either = {"encoder.weight", "decoder.linear.weight"}
        t = self._tensors(file, {"pre_bias", "latent_bias"}, either | _STATISTICS)
        if not either & t.keys():
            self._refuse("with the tensor 'encoder.weight'", f"{sorted(t)}")
        W = t["encoder.weight"] if "encoder.weight" in t else t["decoder.linear.weight"]
        return {
            "W_enc": _rows(W),
            "b_enc": t["latent_bias"],
            "b_pre": t["pre_bias"],
            "k": self._own_k(config.get("k")),
            "activation": "topk-relu",
        }

    def _gemma_scope(self, file: Path) -> dict[str, Any]:
        with np.load(file) as archive:
            t = self._known(file, dict(archive), {"W_enc", "W_dec", "b_enc", "b_dec"}, frozenset())
        return {
            "W_enc": _rows(t["W_enc"].T),
            "W_dec": _rows(t["W_dec"]),
            "b_enc": t["b_enc"],
            "b_dec": t["b_dec"],
            "k": self._own_k(None),
            "activation": "topk-relu",
        }

    # ---- files

    def _config(self, file: Path, name: str) -> dict[str, Any]:
        beside = file.parent / name
        if not beside.is_file():
            raise FileNotFoundError(
                f"{self.function}: path must hold {name} beside {file.name}; got {str(file.parent)!r}. "
                "Download it too: it says what the weights mean."
            )
        config: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        return config

    def _tensors(self, file: Path, needed: Set[str], allowed: Set[str] = frozenset()) -> Tensors:
        if file.suffix == ".safetensors":
            library = self._import("safetensors", "pretrained")
            tensors = {name: _from_safetensors(part) for name, part in library.deserialize(file.read_bytes())}
        else:
            library = self._import("torch", "torch")
            state = library.load(file, map_location="cpu", weights_only=True)
            tensors = {
                name: as_numpy(self.function, value, name) if isinstance(value, library.Tensor) else value
                for name, value in state.items()
            }
        return self._known(file, tensors, needed, allowed)

    def _known(self, file: Path, tensors: Tensors, needed: Set[str], allowed: Set[str]) -> Tensors:
        if missing := needed - tensors.keys():
            self._refuse(f"with the tensors {sorted(needed)}", f"{file.name} without {sorted(missing)}")
        if strange := tensors.keys() - needed - allowed:
            self._refuse(
                f"of the tensors {sorted(needed)} alone",
                f"{sorted(strange)} as well (a 'threshold' means JumpReLU, 'W_skip' a skip connection)",
            )
        return tensors

    def _import(self, library: str, extra: str) -> Any:
        try:
            return importlib.import_module(library)
        except ImportError as error:
            raise ImportError(
                f"{self.function}: {library} must be installed to read {self.path.name}. "
                f"pip install 'latom[{extra}]'"
            ) from error

    # ---- what is common to them

    def _own_k(self, own: Any) -> int:
        if self.k is not None:
            return self.k
        if own is None:
            raise ValueError(
                f"{self.function}: k must be given for a checkpoint that holds none; got None. Pass k."
            )
        return int(own)

    def _need_normalized_input(self) -> None:
        if not self.input_normalized:
            raise ValueError(
                f"{self.function}: input_normalized must be True for weights that expect standardized rows; "
                "got False. Standardize rows yourself, (x - x.mean()) / (x.std(ddof=1) + 1e-5), and say so."
            )

    def _refuse(self, constraint: str, got: str) -> NoReturn:
        raise ValueError(
            f"{self.function}: path must be a checkpoint {constraint}; got {got}. "
            "Use the library that wrote it."
        )


def _rows(weights: Any) -> NDArray[Any]:
    """Weights as C-contiguous float32 or float64."""
    return np.ascontiguousarray(weights, np.float64 if weights.dtype == np.float64 else np.float32)


def _from_safetensors(part: dict[str, Any]) -> NDArray[Any]:
    if part["dtype"] not in _SAFETENSORS:
        raise ValueError(
            f"TopKEncoder.from_pretrained: dtype must be of float; got {part['dtype']}. Convert it."
        )
    flat = np.frombuffer(part["data"], _SAFETENSORS[part["dtype"]])
    if part["dtype"] == "BF16":
        flat = widen(flat, "bfloat16")
    return flat.reshape(part["shape"])
