"""Weights of top-k autoencoders as other libraries write them, as parameters of TopKEncoder.

Each loader names the tensors that it uses and those that are only statistics of training. Anything else in a
file would change the codes and is refused.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from latom._base.checks import check_flag
from latom.encode.checkpoint import Checkpoint
from latom.encode.threshold_pretrained import need_normalized

_STATISTICS = {"stats_last_nonzero", "latents_activation_frequency", "latents_mean_square"}

_THRESHOLDS = "Use ThresholdEncoder.from_pretrained, or the library that wrote it."

Parameters = dict[str, Any]


def load(function: str, path: str | os.PathLike[str], k: int | None, input_normalized: bool) -> Parameters:
    """Parameters of TopKEncoder from the checkpoint at path."""
    normalized = check_flag(function, "input_normalized", input_normalized)
    return _Formats(Checkpoint(function, path), normalized).load(k)


class _Formats:
    def __init__(self, checkpoint: Checkpoint, input_normalized: bool) -> None:
        self.checkpoint, self.input_normalized = checkpoint, input_normalized

    def load(self, k: int | None) -> Parameters:
        """Parameters whose shapes fit together, with k, the caller's or the checkpoint's own."""
        with self.checkpoint.reading(self.checkpoint.path):
            file, loader = self._find(self.checkpoint.path)
        parameters = loader(file)
        m, d = parameters["W_enc"].shape
        W_dec, b_pre = parameters.get("W_dec"), parameters.get("b_pre")
        out = d if W_dec is None else W_dec.shape[1]
        if b_pre is not None and "b_dec" not in parameters:  # then it is added to what was decoded
            out = d
        for name, shape in {"W_dec": (m, out), "b_enc": (m,), "b_pre": (d,), "b_dec": (out,)}.items():
            part = parameters.get(name)
            if part is not None and part.shape != shape:
                got = f"{name} of shape {part.shape} in place of {shape}"
                self.checkpoint.refuse(f"of weights that fit the encoder of shape {(m, d)}", got)
        parameters["k"] = self.checkpoint.count(k, parameters["k"], m)
        return parameters

    def _find(self, path: Path) -> tuple[Path, Callable[[Path], Parameters]]:
        """Tells the format by the names of the files."""
        if path.suffix == ".npz" and path.is_file():
            return path, self._gemma_scope
        if path.suffix == ".pt" and path.is_file() and path.name != "ae.pt":
            return path, self._openai
        folder = path.parent if path.is_file() else path
        for inner in sorted(folder.glob("*_SparseAutoEncoder/config.json")):
            self.checkpoint.refuse(
                "of one module", f"{folder}, a SparseEncoder of several", f"Pass {inner.parent}."
            )
        for name, loader in (
            ("sae_weights.safetensors", self._sae_lens),
            ("sae.safetensors", self._sparsify),
            ("ae.pt", self._dictionary_learning),
            ("model.safetensors", self._sentence_transformers),
            ("pytorch_model.bin", self._sentence_transformers),
            ("params.npz", self._gemma_scope),
        ):
            if (folder / name).is_file():
                return folder / name, loader
        raise self.checkpoint.missing(
            "be a checkpoint of SAELens, sparsify, dictionary_learning, OpenAI, sentence-transformers or a "
            ".npz file",
            "Download it first, and pass the folder that holds the weights.",
        )

    # ---- the formats

    def _sae_lens(self, file: Path) -> Parameters:
        ours = self.checkpoint
        config = ours.config(file, "cfg.json")
        kind = config.get("activation_fn_str", config.get("activation_fn"))  # up to version 5
        architecture = config.get("architecture", "topk" if kind == "topk" else "standard")
        plain = architecture in ("topk", "abstopk")  # the latter keeps magnitudes, with their sign
        if not plain and not (architecture == "standard" and kind == "topk"):
            others = architecture in ("jumprelu", "jumprelu_transcoder", "transcoder", "standard")
            remedy = _THRESHOLDS if others else "Use the library that wrote it."
            ours.refuse("of a top-k autoencoder", f"architecture {reprlib.repr(architecture)}", remedy)
        need_normalized(ours, config, self.input_normalized)
        subtract = ours.flag(config, "apply_b_dec_to_input", True)
        t = ours.tensors(file, {"W_enc", "W_dec", "b_enc", "b_dec"})
        older = config.get("activation_fn_kwargs")
        own = config.get("k")
        if own is None and isinstance(older, dict):
            own = older.get("k")
        b_dec = t.vector("b_dec")
        return {
            "W_enc": t.transposed("W_enc"),
            "W_dec": t.matrix("W_dec"),
            "b_enc": t.vector("b_enc"),
            "b_pre": b_dec if subtract else None,
            "b_dec": b_dec,
            "k": own,
            "activation": "abs" if architecture == "abstopk" else "topk-relu",
            "rescale_by_decoder_norm": ours.flag(config, "rescale_acts_by_decoder_norm", False),
        }

    def _sparsify(self, file: Path) -> Parameters:
        config = self.checkpoint.config(file, "cfg.json")
        for option, plain in (
            ("activation", "topk"),
            ("skip_connection", False),
            ("embed_skip", False),
            ("gram_lookup", False),
        ):
            if config.get(option, plain) != plain:
                self.checkpoint.refuse(f"of {option} {plain!r}", reprlib.repr(config[option]))
        transcode = self.checkpoint.flag(config, "transcode", False)
        t = self.checkpoint.tensors(file, {"encoder.weight", "encoder.bias", "W_dec", "b_dec"})
        b_dec = t.vector("b_dec")
        return {
            "W_enc": t.matrix("encoder.weight"),
            "W_dec": t.matrix("W_dec"),
            "b_enc": t.vector("encoder.bias"),
            "b_pre": None if transcode else b_dec,
            "b_dec": b_dec,
            "k": config.get("k"),
            "activation": "relu",
        }

    def _dictionary_learning(self, file: Path) -> Parameters:
        trainer = self.checkpoint.config(file, "config.json").get("trainer")
        kind = trainer.get("dict_class") if isinstance(trainer, dict) else trainer
        if kind != "AutoEncoderTopK":  # the others apply the threshold
            self.checkpoint.refuse("of dict_class 'AutoEncoderTopK'", reprlib.repr(kind), _THRESHOLDS)
        names = {"encoder.weight", "encoder.bias", "decoder.weight", "b_dec"}
        t = self.checkpoint.tensors(file, names, {"k", "threshold"})
        return {
            "W_enc": t.matrix("encoder.weight"),
            "W_dec": t.transposed("decoder.weight"),
            "b_enc": t.vector("encoder.bias"),
            "b_pre": t.vector("b_dec"),
            "k": t.value("k"),
            "activation": "relu",
        }

    def _openai(self, file: Path) -> Parameters:
        names = {"encoder.weight", "pre_bias", "latent_bias", "activation"}
        decoders = {"decoder.weight", "decoder.linear.weight"}
        nested = {"activation_state_dict", "activation_state_dict.k", "activation_state_dict.postact_fn"}
        t = self.checkpoint.tensors(file, names, decoders | nested | _STATISTICS)
        kind = t.value("activation")
        if not isinstance(kind, str) or kind != "TopK":
            self.checkpoint.refuse("of a top-k autoencoder", f"activation {reprlib.repr(kind)}")
        state = t.value("activation_state_dict")
        if not isinstance(state, dict):
            state = {name: t.value(f"activation_state_dict.{name}") for name in ("k", "postact_fn")}
        after = state.get("postact_fn")
        if after is not None and not (isinstance(after, str) and after in ("ReLU", "Identity")):
            self.checkpoint.refuse("with ReLU or Identity after top-k", reprlib.repr(after))
        self._need_normalized_input()
        return {
            "W_enc": t.matrix("encoder.weight"),
            "W_dec": t.transposed("decoder.weight") if "decoder.weight" in t else None,
            "b_enc": t.vector("latent_bias"),
            "b_pre": t.vector("pre_bias"),
            "k": state.get("k"),
            "activation": "identity" if after == "Identity" else "topk-relu",
        }

    def _sentence_transformers(self, file: Path) -> Parameters:
        config = self.checkpoint.config(file, "config.json")
        if self.checkpoint.flag(config, "normalize", False):
            self._need_normalized_input()
        # Tied weights are stored once, under either name.
        either = {"encoder.weight", "decoder.linear.weight"}
        t = self.checkpoint.tensors(file, {"pre_bias", "latent_bias"}, either | _STATISTICS)
        found = [name for name in sorted(either, reverse=True) if name in t]
        if not found:
            self.checkpoint.refuse("with the tensor 'encoder.weight'", f"{file.name} without it")
        return {
            "W_enc": t.matrix(found[0]),
            "b_enc": t.vector("latent_bias"),
            "b_pre": t.vector("pre_bias"),
            "k": config.get("k"),
            "activation": "topk-relu",
        }

    def _gemma_scope(self, file: Path) -> Parameters:
        t = self.checkpoint.tensors(file, {"W_enc", "W_dec", "b_enc", "b_dec"})
        return {
            "W_enc": t.transposed("W_enc"),
            "W_dec": t.matrix("W_dec"),
            "b_enc": t.vector("b_enc"),
            "b_dec": t.vector("b_dec"),
            "k": None,
            "activation": "topk-relu",
        }

    def _need_normalized_input(self) -> None:
        if not self.input_normalized:
            raise ValueError(
                f"{self.checkpoint.function}: input_normalized must be True for weights that expect "
                "standardized rows; got False. Standardize rows yourself, "
                "(x - x.mean()) / (x.std(ddof=1) + 1e-5), and say so."
            )
