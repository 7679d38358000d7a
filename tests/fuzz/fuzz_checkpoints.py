"""Random damage to checkpoints of every layout: the weights as they were stored, or one form of error."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from checkpoints import LAYOUTS, M, as_torch, save
from fuzzing import Finding, check, check_error, pick
from mutations import as_json, changed_array, changed_json, damaged

import latom

KINDS = (ValueError, TypeError, FileNotFoundError, PermissionError, MemoryError)
NASTY_PARTS = [None, "text", [1.0, 2.0], {"a": 1}, 5, 2.5, [], True]


def case(rng: np.random.Generator) -> str:
    folder = Path(tempfile.mkdtemp(prefix="latom-fuzz-"))
    try:
        return _case(rng, folder)
    finally:
        shutil.rmtree(folder)


def _case(rng: np.random.Generator, folder: Path) -> str:
    name = pick(rng, LAYOUTS)
    layout = LAYOUTS[name]
    tensors: dict[str, Any] = layout.tensors(rng)
    config, file = dict(layout.config), folder / layout.file
    target = pick(rng, ["tensors", "tensors", "bytes", "header", "config", "configuration bytes", "files"])
    if target == "tensors":
        tensors = _changed_tensors(rng, tensors, layout.file)
    if target == "config":
        config = changed_json(rng, config)
    try:
        path = save(layout, folder, tensors, as_json(config))
    except Exception:  # what the format itself cannot store
        return f"{name}: not stored"
    if target == "bytes":
        file.write_bytes(damaged(rng, file.read_bytes()))
    elif target == "header":
        _change_header(rng, file)
    elif target == "configuration bytes" and layout.config_file:
        (folder / layout.config_file).write_bytes(damaged(rng, as_json(config)))
    elif target == "files":
        _change_files(rng, folder, file)
    try:
        encoder = latom.TopKEncoder.from_pretrained(path, **layout.arguments)
    except BaseException as error:
        check_error(error, KINDS, "TopKEncoder.from_pretrained: ")
        return f"{target}: refused"
    check(type(encoder.k) is int and 1 <= encoder.k <= len(encoder.W_enc), f"k {encoder.k!r}")
    if target in ("tensors", "config"):
        _check_weights(layout, tensors, config, encoder)
    _check_codes(rng, encoder)
    return f"{target}: loaded"


def _changed_tensors(rng: np.random.Generator, tensors: dict[str, Any], file: str) -> dict[str, Any]:
    name = pick(rng, tensors)
    tensors = dict(tensors)
    change = int(rng.integers(6))
    if change == 0:
        del tensors[name]
    elif change == 1:
        tensors[pick(rng, ["threshold", "W_skip", "k", "extra", "", "stats_last_nonzero"])] = np.ones(
            M, np.float32
        )
    elif change == 2:
        tensors[pick(rng, tensors)] = tensors[name]
    elif change == 3 and not file.endswith(".safetensors"):
        tensors[name] = pick(rng, NASTY_PARTS)
    elif isinstance(tensors[name], np.ndarray):
        tensors[name] = changed_array(rng, tensors[name])
        if file.endswith((".pt", ".bin")) and rng.random() < 0.3:
            tensors[name] = _odd_tensor(rng, as_torch(tensors[name]))
    else:
        tensors[name] = changed_json(rng, tensors[name])
    return tensors


def _odd_tensor(rng: np.random.Generator, tensor: Any) -> Any:
    import torch

    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        return tensor
    odd = [
        lambda: tensor.to(torch.bfloat16),
        lambda: tensor.to("meta"),
        lambda: tensor.to_sparse(),
        lambda: tensor.requires_grad_(),
        lambda: torch.nn.Parameter(tensor),
        lambda: tensor.to(torch.float8_e4m3fn),
        lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        lambda: tensor.to(torch.complex64).conj(),
    ]
    return pick(rng, odd)()


def _change_header(rng: np.random.Generator, file: Path) -> None:
    """Change the JSON at the head of .safetensors, with types, shapes and places; of others, some bytes."""
    data = file.read_bytes()
    if file.suffix != ".safetensors":
        at = data.find(pick(rng, [b"descr", b"shape", b"fortran", b".npy", b"data.pkl", b"storage"]))
        at = max(at, 0)
        file.write_bytes(data[:at] + damaged(rng, data[at : at + 40]) + data[at + 40 :])
        return
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    name = pick(rng, header)
    header[name] = changed_json(rng, header[name])
    if rng.random() < 0.3 and isinstance(header[name], dict):
        header[name]["dtype"] = pick(
            rng, ["F64", "F16", "BF16", "I8", "BOOL", "F8_E4M3", "C64", "U64", "F4", "x"]
        )
    text = as_json(header)
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def _change_files(rng: np.random.Generator, folder: Path, file: Path) -> None:
    victim = pick(rng, sorted(folder.iterdir()))
    change = int(rng.integers(4))
    if change == 3:
        (folder / pick(rng, [layout.file for layout in LAYOUTS.values()])).write_bytes(victim.read_bytes())
        return
    content = victim.read_bytes()
    victim.unlink()
    if change == 0:
        victim.mkdir()
    elif change == 1:
        victim.symlink_to(victim)
    elif change == 2:
        victim.with_name(victim.name.upper()).write_bytes(content)


def _check_weights(layout: Any, tensors: dict[str, Any], config: Any, encoder: Any) -> None:
    """Each parameter has the numbers that were stored, and k is the stored one."""
    for parameter, name in layout.parts.items():
        value = tensors.get(name.removesuffix(".T"))
        if value is None:
            continue
        if hasattr(value, "detach"):
            value = value.detach().to_dense().double().numpy()
        stored = np.asarray(value)
        got = getattr(encoder, parameter)
        want = stored.T if name.endswith(".T") else stored
        if not (got.shape == want.shape and (got == want).all()):
            raise Finding(f"{parameter} is not what was stored")
    if layout.k_at:
        check(isinstance(config, dict) and encoder.k == config["k"], f"k {encoder.k} of {config!r}"[:300])


def _check_codes(rng: np.random.Generator, encoder: Any) -> None:
    X = rng.standard_normal((3, encoder.W_enc.shape[1])).astype(np.float32)
    try:
        codes = encoder.transform(X)
        rows = encoder.inverse_transform(codes)
    except ValueError as error:  # weights whose squares overflow, say
        check_error(error, (ValueError,))
        return
    check(codes.shape == (3, len(encoder.W_enc)), f"codes of shape {codes.shape}")
    check(np.isfinite(codes.data).all() and np.isfinite(rows).all(), "numbers that are not finite")
    check((np.diff(codes.indptr) <= encoder.k).all(), "more than k codes")
