"""The examples of curation and of draws by importance run, on data made here, and show what they claim."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
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


def test_balanced_curation(example, tmp_path):
    pytest.importorskip("matplotlib")
    found = example("balanced_curation")(["--scale", "0.2", "--plot", str(tmp_path / "f.png")])
    assert (tmp_path / "f.png").stat().st_size > 5000
    uneven = {name: np.abs(np.log(share)).max() for name, share in found["rings"].items()}
    assert uneven["hierarchy"] < np.log(2) < uneven["by chance"]
    assert found["copies"] > 0.7


def test_importance_sampling(example):
    found = example("importance_sampling")(["--trials", "40"])
    assert found["shares"]["importance resampling"] > 0.7 > found["shares"]["even draws"]
    assert found["errors"]["losses at centers"] < found["errors"]["even draws"]
