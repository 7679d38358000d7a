"""Are features of embeddings found again by other seeds and other data, and do they steer?

    LATOM_DATA=/folder/with/data python examples/stable_features.py --plot stable.png

Trains k-sparse autoencoders on the embeddings of arXiv abstracts: two seeds, and two halves of the rows. How
well the features of one are found again is the mean over features of the largest cosine with a feature of
the other (Lan et al., "Sparse autoencoders reveal universal feature spaces across large language models",
2024, claim that models share them), beside that of rows drawn by chance and of random directions. Then
concepts are steered (Kim & Ghadiyaram, "Concept Steerers", 2025, claim that one feature of a k-sparse
autoencoder does it): for each subject the feature that tells it best is turned up in abstracts of other
subjects, and the share of their ten nearest rows that are of the subject says how far they went, beside a
step of the same length toward the subject's mean, and along a random direction. Without LATOM_DATA topics
are made here.
"""

from __future__ import annotations

import argparse
import lzma
import os
from pathlib import Path

import numpy as np

from latom import DenseIndex, SparseAutoencoder, steer
from latom.metrics import mean_max_cosine

STRENGTHS = (0.0, 1.0, 2.0, 4.0)  # times the feature's mean code where it is active
AGAIN = 0.9  # cosine at which a feature counts as found again


def read(folder: Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of unit length, and subjects."""
    X = np.load(folder / "arxiv-minilm.npy")[:rows].astype(np.float32)
    chosen = np.load(folder / "arxiv-minilm-rows.npy")[:rows]
    with lzma.open(folder / "arxiv-meta.tsv.xz", "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()
    return X, np.array([lines[i].split("\t")[1] for i in chosen])


def made(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one of twelve subjects and of two more directions out of thirty."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((42, 40)) / np.sqrt(40)
    subject = rng.integers(12, size=3000)
    codes = np.zeros((3000, 42))
    codes[np.arange(3000), subject] = rng.uniform(0.7, 1.3, 3000)
    for row in codes:
        row[12 + rng.choice(30, 2, replace=False)] = rng.uniform(0.5, 1.0, 2)
    X = codes @ atoms + 0.03 * rng.standard_normal((3000, 40))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), np.char.mod(
        "subject%d", subject
    )


def cosines(atoms: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each atom, the largest with any of the others."""
    return DenseIndex(others, metric="cosine").search(atoms, 1)[0][:, 0]


def compare(X: np.ndarray, train) -> tuple[SparseAutoencoder, dict[str, np.ndarray]]:
    """An autoencoder, and how well its features are found again by others."""
    rng = np.random.default_rng(5)
    halves = np.array_split(rng.permutation(len(X)), 2)
    first, again = train(X, 0), train(X, 1)
    parts = [train(X[np.sort(half)], 0) for half in halves]
    own = first.components_
    pairs = {
        "another seed": (own, again.components_),
        "the other half of the rows": (parts[0].components_, parts[1].components_),
        "rows drawn by chance": (own, X[rng.choice(len(X), len(own), replace=False)]),
        "random directions": (own, rng.standard_normal(own.shape).astype(own.dtype)),
    }
    print(f"features found again in {'':17} mean of the largest cosine   at least {AGAIN}")
    table = {}
    for name, (atoms, others) in pairs.items():
        table[name] = cosines(atoms, others)
        mean = mean_max_cosine(atoms, others)
        print(f"  {name:27} {mean:40.3f} {(table[name] >= AGAIN).mean():15.1%}")
    used = np.bincount(first.transform(X).indices, minlength=len(own))
    order = np.array_split(np.argsort(-used, kind="stable"), 4)
    parts = ", ".join(f"{table['another seed'][part].mean():.2f}" for part in order)
    print(f"  by another seed, from the most used quarter of the features to the least: {parts}")
    return first, table


def best_feature(codes, own: np.ndarray) -> tuple[int, float, float]:
    """The feature whose F1 for rows of a subject is highest, its F1, and its mean code where it is active."""
    active = np.bincount(codes.indices, minlength=codes.shape[1])
    hits = np.bincount(codes[own].indices, minlength=codes.shape[1])
    score = 2 * hits / (active + own.sum())
    j = int(score.argmax())
    values = codes.data[codes.indices == j]
    return j, float(score[j]), float(values.mean())


def concepts(X: np.ndarray, subject: np.ndarray, model: SparseAutoencoder, count: int) -> np.ndarray:
    """Shares of the nearest rows that are of the subject, [ways, strengths]: means over frequent subjects."""
    rng = np.random.default_rng(6)
    codes, index = model.transform(X), DenseIndex(X, metric="cosine")
    names, sizes = np.unique(subject, return_counts=True)
    shares = []
    for name in names[np.argsort(-sizes, kind="stable")[:count]]:
        own = subject == name
        j, score, level = best_feature(codes, own)
        away = rng.choice(np.flatnonzero(~own), min(200, (~own).sum()), replace=False)
        toward = X[own].mean(axis=0) - X.mean(axis=0)
        chance = rng.standard_normal(X.shape[1])
        rows = []
        for strength in STRENGTHS:
            turned = steer(X[away], model, {j: strength * level}, mode="add")
            length = strength * level * np.linalg.norm(model.components_[j])
            moved = [turned, *(X[away] + length * v / np.linalg.norm(v) for v in (toward, chance))]
            near = [index.search(part.astype(np.float32), 10)[1] for part in moved]
            rows.append([own[found].mean() for found in near])
        shares.append(np.array(rows).T)
        cells = "  ".join(f"{share:.2f}" for share in shares[-1][0])
        print(f"  {name:18} feature {j:5}, F1 {score:.2f}: {cells}")
    return np.mean(shares, axis=0)


def draw(table: dict[str, np.ndarray], shares: np.ndarray, path: Path) -> None:
    """Cosines by rank, and how far steering leads."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10.5, 4), layout="constrained")
    for (name, values), color in zip(
        table.items(), ("#c2512f", "#7a3b8f", "#2f6f9f", "#9a958c"), strict=True
    ):
        left.plot(np.linspace(0, 1, len(values)), np.sort(values)[::-1], label=name, color=color)
    left.set(xlabel="share of the features", ylabel="largest cosine with one of the others", ylim=(0, 1.03))
    left.legend(frameon=False, title="found again in", fontsize=8)
    for label, share, color in zip(
        ("one feature", "the subject's mean", "a random direction"),
        shares,
        ("#c2512f", "#2f6f9f", "#9a958c"),
        strict=True,
    ):
        right.plot(STRENGTHS, share, "o-", label=label, color=color)
    right.set(
        xlabel="strength, in mean codes of the feature", ylabel="share of the subject among ten nearest"
    )
    right.legend(frameon=False, title="steered by", fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Trains, compares, steers, and draws if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=49152)
    parser.add_argument("--latents", type=int, default=768)
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--rate", type=float, default=3e-3, help="of learning: with less, starts shine through"
    )
    parser.add_argument("--concepts", type=int, default=8, help="subjects to steer to, the most frequent")
    parser.add_argument("--plot", type=Path, help="write a figure of cosines and of steering")
    given = parser.parse_args()
    folder = os.environ.get("LATOM_DATA")
    X, subject = read(Path(folder), given.rows) if folder else made()
    settings = {"n_latents": given.latents, "k": given.k, "max_epochs": given.epochs}
    settings["learning_rate"] = given.rate
    if not folder:
        settings = {"n_latents": 60, "k": 3, "max_epochs": 60, "learning_rate": 1e-2}

    def train(rows: np.ndarray, seed: int) -> SparseAutoencoder:
        return SparseAutoencoder(batch_size=512, random_state=seed, **settings).fit(rows)

    print(
        f"{len(X):,} rows of {X.shape[1]} columns, {settings['n_latents']} features, {settings['k']} per row"
    )
    model, table = compare(X, train)
    print(f"share of a subject among the ten nearest, its feature turned up by {STRENGTHS} mean codes")
    shares = concepts(X, subject, model, given.concepts)
    for label, share in zip(("one feature", "toward the mean", "random direction"), shares, strict=True):
        print(f"  mean, {label:16}: " + "  ".join(f"{value:.2f}" for value in share))
    if given.plot:
        draw(table, shares, given.plot)


if __name__ == "__main__":
    main()
