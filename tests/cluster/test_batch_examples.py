"""The examples of many small problems and of scores run, on data made here, and find what was planted."""

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


def test_token_pooling(example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    found = example("token_pooling")(["--together", "3", "--plot", str(tmp_path / "f.png")])
    assert (tmp_path / "f.png").stat().st_size > 5000
    for ward, both in zip(found[::3], found[1::3], strict=True):
        assert ward[0] == both[0]
        assert both[2] >= ward[2] - 1e-6  # mean cosine
    assert "queries" in capsys.readouterr().out


def test_few_shot(example):
    found = example("few_shot")(["--episodes", "60"])
    assert found["k-means, labels fixed"] > found["nearest prototype"] > 0.5


def test_novel_classes(example):
    found = example("novel_classes")(["--runs", "1"])
    assert min(found["fixed centers"]) > 0.5


@pytest.mark.filterwarnings("ignore")
def test_customer_segments(example, tmp_path):
    pytest.importorskip("matplotlib")
    found = example("customer_segments")(["--plot", str(tmp_path / "f.png")])
    assert (tmp_path / "f.png").stat().st_size > 5000
    assert found["k-means"] > 0.4


@pytest.mark.filterwarnings("ignore")
def test_deep_clustering(example):
    found = example("deep_clustering")(["--rounds", "2"])
    assert all(steady > anew for _, _, steady, anew in found)
