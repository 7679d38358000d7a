"""The examples of many small problems and of scores run, on data made here, and find what was planted."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

if not EXAMPLES.is_dir():
    pytest.skip("the examples are not here", allow_module_level=True)


def module_of(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example(monkeypatch):
    monkeypatch.delenv("LATOM_DATA", raising=False)
    return lambda name: module_of(name).main


def test_token_pooling(example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    found = example("token_pooling")(["--together", "3", "--plot", str(tmp_path / "f.png")])
    assert (tmp_path / "f.png").stat().st_size > 5000
    methods = ("ward", "ward+kmeans", "scikit-learn Ward")
    rows = [[row for row in found if row[1] == method] for method in methods]
    assert len(rows[0]) == 4
    for ward, both, theirs in zip(*rows, strict=True):
        assert ward[0] == both[0] == theirs[0]
        assert both[2] >= ward[2] - 1e-6  # mean cosine
        assert theirs[2] == pytest.approx(ward[2], abs=1e-3)
    assert "queries" in capsys.readouterr().out


def test_fixed_encodings(example, tmp_path):
    pytest.importorskip("matplotlib")
    found = example("fixed_encodings")(["--bits", "4", "--repeats", "6", "--plot", str(tmp_path / "f.png")])
    assert (tmp_path / "f.png").stat().st_size > 5000
    for name in ("SimHash", "k-means"):
        one, six = found[f"{name}, 1 x 16 cells"], found[f"{name}, 6 x 16 cells"]
        assert six[0] > one[0]
        assert six[-1] > 0.9
        assert (np.diff(six) >= 0).all()


def test_fixed_encodings_are_sums_and_means():
    module = module_of("fixed_encodings")
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 5)).astype(np.float32) for n in (1, 4, 9)]
    closeness = [rng.random((len(rows), 6)) for rows in parts]
    whole, projection = np.concatenate(closeness), rng.normal(size=(5, 3))
    for documents in (False, True):
        found = module.encode(parts, lambda X: whole, projection, documents).reshape(3, 6, 3)
        for rows, near, made in zip(parts, closeness, found, strict=True):
            Y, cell = rows @ projection, near.argmax(axis=1)
            for c in range(6):
                own = Y[cell == c]
                if documents:
                    wanted = own.mean(axis=0) if len(own) else Y[near[:, c].argmax()]
                else:
                    wanted = own.sum(axis=0)
                assert np.allclose(made[c], wanted, atol=1e-5)


def test_cluster_abstracts(example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    found = example("cluster_abstracts")(["--plot", str(tmp_path / "f.png")])
    assert (tmp_path / "f.png").stat().st_size > 5000
    costs = {name: potential for name, (_, potential, _) in found["starts"].items()}
    assert costs["greedy k-means++"] < 1.02 * min(costs.values())
    assert max(costs.values()) < 1.1 * min(costs.values())
    out = capsys.readouterr().out
    assert "the 10 largest clusters" in out
    assert sum("topic" in line for line in out.splitlines()[-10:]) >= 8


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
