"""Docstrings of what is public: their examples run, and they say what a user must know."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import latom
from latom import metrics, neighbors

PACKAGE = Path(latom.__file__).parent
MODULES = sorted(
    ".".join(("latom", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
    if re.search(r"^ *>>> ", path.read_text(), re.MULTILINE) and path.name != "__init__.py"
)
RESULTS = {"BatchClusters", "ClusterSweep", "Factorizations", "Hubness", "RankSelection", "WardClusters"}
RESULTS |= {"config", "show_config"}  # and what takes nothing
RESULTS |= {name for name in latom.__all__ if name.endswith("State")}
NAMES = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (latom, metrics, neighbors)
    for name in module.__all__
    if name not in RESULTS and callable(getattr(module, name))
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    for library, needed in (("torch", ".torch"), ("dask", ".dask"), ("sentence_transformers", "sentence_tr")):
        if needed in name:
            pytest.importorskip(library)
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("name", NAMES)
def test_a_docstring_has_every_section(name: str) -> None:
    made: Any = NAMES[name]
    text = inspect.getdoc(made) or ""
    takes = [p for p in inspect.signature(made).parameters if p != "self"]
    function = inspect.isfunction(made)
    sections = ["Parameters", "Returns", "Raises", "Examples"] if function else ["Parameters", "Examples"]
    assert not [section for section in sections if f"{section}\n---" not in text]
    assert not [argument for argument in takes if argument not in text]


@pytest.mark.parametrize("name", ["components_", "encoder_components_", "b_enc_", "b_pre_"])
def test_what_an_autoencoder_has_learned_is_described(name: str) -> None:
    assert getattr(latom.SparseAutoencoder, name).__doc__
