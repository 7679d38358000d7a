"""Weights of autoencoders with thresholds as other libraries write them, as parameters of ThresholdEncoder.

As in :mod:`latom.encode.pretrained`, each loader names the tensors that it uses; anything else is refused.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from latom._base.checks import check_flag
from latom.encode.checkpoint import Checkpoint, Tensors

Parameters = dict[str, Any]

_WEIGHTS = {"W_enc", "W_dec", "b_enc", "b_dec"}
_TOPK = "Use TopKEncoder.from_pretrained."
# What SAELens does with rows on the way in, and what it then wants to know of rows that are ready.
_SCALED = {
    "expected_average_only_in": "multiplied by the factor that makes their mean length sqrt(d), which "
    "SAELens finds in training and does not save",
    "constant_norm_rescale": "scaled to length sqrt(d), x * sqrt(d) / |x|",
    "layer_norm": "standardized, (x - x.mean()) / (x.std(ddof=1) + 1e-5)",
}


def load(function: str, path: str | os.PathLike[str], input_normalized: bool) -> Parameters:
    """Parameters of ThresholdEncoder from the checkpoint at path."""
    normalized = check_flag(function, "input_normalized", input_normalized)
    return _ThresholdFormats(Checkpoint(function, path), normalized).load()


def need_normalized(checkpoint: Checkpoint, config: dict[str, Any], input_normalized: bool) -> None:
    """Refuse SAELens's weights for scaled rows, unless rows come in scaled."""
    scaling = config.get("normalize_activations")
    if scaling in ("none", None) or (scaling in _SCALED and input_normalized):
        return
    if isinstance(scaling, str) and scaling in _SCALED:
        raise ValueError(
            f"{checkpoint.function}: input_normalized must be True for weights with normalize_activations "
            f"{scaling!r}; got False. They expect rows {_SCALED[scaling]}: do that yourself, and say so."
        )
    checkpoint.refuse("without scaling of its input", f"normalize_activations {reprlib.repr(scaling)}")


class _ThresholdFormats:
    def __init__(self, checkpoint: Checkpoint, input_normalized: bool) -> None:
        self.checkpoint, self.input_normalized = checkpoint, input_normalized

    def load(self) -> Parameters:
        """Parameters whose shapes fit together."""
        with self.checkpoint.reading(self.checkpoint.path):
            file, loader = self._find(self.checkpoint.path)
        parameters = loader(file)
        m, d = parameters["W_enc"].shape
        out = parameters["W_dec"].shape[1]
        shapes = {"W_dec": (m, out), "b_enc": (m,), "b_pre": (d,), "b_dec": (out,), "threshold": (m,)}
        for name, shape in shapes.items():
            part = parameters.get(name)
            if part is not None and np.shape(part) not in (shape, ()):
                got = f"{name} of shape {np.shape(part)} in place of {shape}"
                self.checkpoint.refuse(f"of weights that fit the encoder of shape {(m, d)}", got)
        return parameters

    def _find(self, path: Path) -> tuple[Path, Callable[[Path], Parameters]]:
        if path.suffix == ".npz" and path.is_file():
            return path, self._gemma_scope
        folder = path.parent if path.is_file() else path
        for name, loader in (
            ("sae_weights.safetensors", self._sae_lens),
            ("ae.pt", self._dictionary_learning),
            ("params.npz", self._gemma_scope),
        ):
            if (folder / name).is_file():
                return folder / name, loader
        raise self.checkpoint.missing(
            "be a checkpoint of SAELens or dictionary_learning, or a .npz file",
            "Download it first, and pass the folder that holds the weights.",
        )

    # ---- the formats

    def _sae_lens(self, file: Path) -> Parameters:
        ours = self.checkpoint
        config = ours.config(file, "cfg.json")
        kind = config.get("activation_fn_str", config.get("activation_fn", "relu"))
        architecture = config.get("architecture", "standard")
        if architecture in ("topk", "abstopk") or (architecture == "standard" and kind == "topk"):
            ours.refuse("of an autoencoder with thresholds", "a top-k one", _TOPK)
        thresholds = ("jumprelu", "jumprelu_transcoder")
        if architecture not in (*thresholds, "standard", "transcoder"):
            self._refuse_architecture(architecture)
        if kind != "relu":
            ours.refuse("with ReLU", f"activation_fn {reprlib.repr(kind)}")
        if ours.flag(config, "rescale_acts_by_decoder_norm", False):
            ours.refuse("without rescaling of codes", "rescale_acts_by_decoder_norm True")
        need_normalized(ours, config, self.input_normalized)
        transcoder = architecture in ("transcoder", "jumprelu_transcoder")
        subtract = ours.flag(config, "apply_b_dec_to_input", not transcoder)
        if transcoder and subtract:
            ours.refuse("whose input is not centered by b_dec", "a transcoder with apply_b_dec_to_input True")
        jumps = architecture in thresholds
        t = ours.tensors(file, _WEIGHTS | ({"threshold"} if jumps else set()))
        return self._plain(t, subtract, t.vector("threshold") if jumps else 0.0)

    def _refuse_architecture(self, architecture: Any) -> NoReturn:
        reasons = {
            "gated": "a gate with weights of its own",
            "skip_transcoder": "a skip connection, which codes do not have",
            "matching_pursuit": "pursuit in place of an encoder",
        }
        reason = reasons.get(architecture) if isinstance(architecture, str) else None
        got = f"architecture {reprlib.repr(architecture)}" + (f": {reason}" if reason else "")
        self.checkpoint.refuse("of a JumpReLU, BatchTopK or ReLU autoencoder", got)

    def _dictionary_learning(self, file: Path) -> Parameters:
        ours = self.checkpoint
        trainer = ours.config(file, "config.json").get("trainer")
        kind = trainer.get("dict_class") if isinstance(trainer, dict) else trainer
        if kind == "AutoEncoderTopK":
            ours.refuse("of an autoencoder with thresholds", "a top-k one", _TOPK)
        if kind in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
            return self._batch_topk(file, kind == "BatchTopKSAE")
        if kind not in ("JumpReluAutoEncoder", "AutoEncoder"):
            ours.refuse(
                "of dict_class 'BatchTopKSAE', 'MatryoshkaBatchTopKSAE', 'JumpReluAutoEncoder' or "
                "'AutoEncoder'",
                reprlib.repr(kind),
            )
        if kind == "JumpReluAutoEncoder":
            t = ours.tensors(file, _WEIGHTS | {"threshold"})
            subtract = ours.flag(trainer if isinstance(trainer, dict) else {}, "apply_b_dec_to_input", False)
            return self._plain(t, subtract, t.vector("threshold"))
        t = ours.tensors(file, {"encoder.weight", "encoder.bias", "decoder.weight", "bias"})
        return {
            "W_enc": t.matrix("encoder.weight"),
            "W_dec": t.transposed("decoder.weight"),
            "b_enc": t.vector("encoder.bias"),
            "b_pre": t.vector("bias"),
            "threshold": 0.0,
        }

    def _batch_topk(self, file: Path, linear: bool) -> Parameters:
        ours = self.checkpoint
        names = {"encoder.weight", "encoder.bias", "decoder.weight", "b_dec"} if linear else _WEIGHTS
        t = ours.tensors(file, names | {"threshold"}, {"k", "group_sizes"})
        threshold = t.value("threshold")
        number = float(np.asarray(threshold).reshape(-1)[0]) if np.size(threshold) == 1 else float("nan")
        if not 0 <= number < float("inf"):  # -1 until training has set it
            ours.refuse(
                "with the threshold that training finds",
                f"threshold {reprlib.repr(np.asarray(threshold).tolist())}",
                "Train it past the step where thresholds begin, or pass its weights and k to TopKEncoder, "
                "which keeps k per row.",
            )
        if not linear:
            return self._plain(t, True, number)
        return {
            "W_enc": t.matrix("encoder.weight"),
            "W_dec": t.transposed("decoder.weight"),
            "b_enc": t.vector("encoder.bias"),
            "b_pre": t.vector("b_dec"),
            "threshold": number,
        }

    def _gemma_scope(self, file: Path) -> Parameters:
        t = self.checkpoint.tensors(file, _WEIGHTS | {"threshold"})
        return self._plain(t, False, t.vector("threshold"))

    def _plain(self, t: Tensors, subtract: bool, threshold: Any) -> Parameters:
        """Encoder [d, m] and decoder [m, d], as SAELens and Gemma Scope have them."""
        b_dec = t.vector("b_dec")
        return {
            "W_enc": t.transposed("W_enc"),
            "W_dec": t.matrix("W_dec"),
            "b_enc": t.vector("b_enc"),
            "b_pre": b_dec if subtract else None,
            "b_dec": b_dec,
            "threshold": threshold,
        }
