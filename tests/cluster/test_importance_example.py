"""The example of draws by importance runs, on data made here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

if not EXAMPLES.is_dir():
    pytest.skip("the examples are not here", allow_module_level=True)


@pytest.fixture
def example(monkeypatch):
    monkeypatch.delenv("LATOM_DATA", raising=False)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main

    return load


def test_importance_sampling(example):
    found = example("importance_sampling")(["--trials", "40"])
    assert found["shares"]["importance resampling"] > 0.7 > found["shares"]["even draws"]
    assert max(found["errors"].values()) < 0.15  # both are estimates without bias
