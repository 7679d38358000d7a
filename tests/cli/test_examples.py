"""The worked examples run, on data made here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

if not EXAMPLES.is_dir():
    pytest.skip("the examples are not here", allow_module_level=True)


def test_mlp_features_finds_planted_ones(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    words = np.array([f"{group}{word}" for group in ("red", "green", "blue") for word in range(10)])
    token = rng.integers(0, len(words), 900)
    neurons = np.zeros((3, 60))
    for group in range(3):
        neurons[group, 20 * group : 20 * group + 3] = (2, 1, -1)
    X = neurons[token // 10] * (1 + rng.random((900, 1))) + 0.05 * rng.standard_normal((900, 60))
    sentence = np.repeat(np.arange(90), 10)
    np.savez(tmp_path / "a.npz", mlp=X.astype(np.float16), token=words[token], sentence=sentence)
    done = subprocess.run(
        [
            sys.executable,
            EXAMPLES / "mlp_features.py",
            tmp_path / "a.npz",
            "--components",
            "3",
            "--keep",
            "0.05",
        ]
        + ["--output", tmp_path / "f.png"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("900 tokens, 60 neurons: 3 features of 3 neurons")
    groups = [{word.rstrip("0123456789") for word in line.split()[1:]} for line in lines[1:4]]
    assert sorted(map(sorted, groups)) == [["blue"], ["green"], ["red"]]
    assert (tmp_path / "f.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("latent_label_shift", ["--classes", "4", "--domains", "6", "--size", "150"], "with anchors"),
        ("choose_rank", ["--replicates", "5"], "claim: 7; seen: 7"),
        (
            "consensus_programs",
            ["--cells", "600", "--genes", "300", "--replicates", "5"],
            "planted: 11; seen:",
        ),
        ("relations", ["--candidates", "3", "4", "--replicates", "3"], "4 communities, the largest number"),
        ("graph_embeddings", ["--draws", "1"], "times as fast as the same products"),
        ("embedding_topics", ["--topics", "6"], "claim: topics of embeddings are more coherent"),
    ],
)
def test_examples_of_factorizations_run(name: str, arguments: list[str], words: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    environment = {key: value for key, value in os.environ.items() if key != "LATOM_DATA"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments, "--plot", tmp_path / "f.png"],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert (tmp_path / "f.png").stat().st_size > 5_000


def run(name: str, *arguments: str) -> list[str]:
    """What an example prints on data that it makes itself."""
    environment = {key: value for key, value in os.environ.items() if key != "LATOM_DATA"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_recommend_items_finds_what_was_held_out(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = tmp_path / "f.png"
    few = ("--epochs", "30", "--factors", "16", "--customers", "1")
    lines = run("recommend_items.py", *few, "--plot", str(figure))
    assert figure.stat().st_size > 5_000
    assert lines[0].startswith("600 customers, 360 items")
    figures = {line[:16].strip(): [float(cell) for cell in line[16:].split()] for line in lines[3:9]}
    for name in ("ALS", "BPR", "NBPO"):
        assert figures[name][0] > 3 * figures["popularity"][0]
    assert any(line.startswith("customer 0 bought  kind") for line in lines)


def test_unbiased_relevance_bears_out_its_claims(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure, sizes = tmp_path / "f.png", ("--customers", "250", "--items", "120", "--epochs", "40")
    lines = run("unbiased_relevance.py", "--power", "1", *sizes, "--plot", str(figure))
    assert figure.stat().st_size > 5_000
    claims = [line for line in lines if line.startswith("  claim:")]
    assert len(claims) == 2
    assert "all items yes" in claims[0]


def test_search_by_costly_scores_keeps_its_order(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = tmp_path / "f.png"
    lines = run("search_by_costly_scores.py", "--budgets", "50", "80", "--plot", str(figure))
    assert figure.stat().st_size > 5_000
    assert lines[0].startswith("240 items, 120 anchor queries")
    heads = [i for i, line in enumerate(lines) if "all scores took" in line]
    assert [lines[i].split(",")[0] for i in heads] == ["MaxSim", "overlap"]
    for head in heads:
        table = lines[head + 3 : head + 8]
        figures = {
            line[:14].strip(): [float(cell) for cell in line[14:].split() if cell != "-"] for line in table
        }
        assert len(figures) == 5
        assert len(figures["ADACUR"]) == 6  # 100 best are more than were scored
        for better, worse in (("ADACUR", "ANNCUR"), ("ANNCUR", "by chance"))[lines[head][0] == "o" :]:
            assert all(a >= b for a, b in zip(figures[better], figures[worse], strict=True))


def test_activation_atoms_are_found_and_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lines = run("activation_atoms.py", "--rows", "1500", "--epochs", "5", "--plot", str(tmp_path / "f.png"))
    assert (tmp_path / "f.png").stat().st_size > 10_000
    assert lines[0] == "1,500 rows of 48 columns"
    rows = {line.split("  ")[1]: line.split() for line in lines if line.startswith("  ")}
    assert 0 < float(rows["ITDA"][1]) < 0.1
    named = [line for line in lines if "[word" in line and "adding" not in line]
    assert len(named) == 10
    for line in named:  # an atom fires hardest on its own word
        word = line.split("[")[1].split("]")[0]
        assert word in line.split("]")[1].replace(",", " ").split()
    assert float(lines[-1].split()[-1].rstrip("%")) > 90


def test_completion_recovers_and_fills() -> None:
    arguments = ["--size", "60", "--trials", "1", "--entries", "200000", "--rows", "300", "--slow", "100"]
    lines = run("completion.py", *arguments)
    claims = [line for line in lines if line.startswith("claim: ")]
    assert len(claims) == 2
    error = {
        line[:24].strip(): float(line[24:].split()[0]) for line in lines if line[:6] in ("column", "LowRan")
    }
    assert error["LowRankImputer, rank 5"] < 0.8 * error["column means"]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        (
            "text_neighbors.py",
            ["-n", "1500", "--queries", "200", "--epochs", "5"],
            [
                "category by 10 neighbors",
                "its document is first",
                "of copies without",
                "local scaling",
                "map by 5",
            ],
        ),
        (
            "dense_neighbors.py",
            ["-n", "800"],
            ["both models have", "hard negatives of each row", "one for each row", "spread over the graph"],
        ),
        ("relative_spaces.py", ["-n", "400"], ["absolute coordinates", "anchors grown from 15 pairs"]),
    ],
)
def test_neighbors_examples(name: str, arguments: list[str], words: list[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    printed = "\n".join(run(name, *arguments, "--plot", str(tmp_path / "f.png")))
    for word in words:
        assert word in printed
    assert (tmp_path / "f.png").stat().st_size > 10_000
