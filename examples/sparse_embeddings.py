"""k-sparse codes of sentence embeddings, against principal components and truncation.

    LATOM_DATA=/folder/with/data python examples/sparse_embeddings.py --data banking77 clinc150

Trains a k-sparse autoencoder on the embeddings of a data set of questions for each k, and asks how well
the nearest training row by cosine, and logistic regression, tell the intents of test rows apart, beside
components and columns as many as k. "Beyond Matryoshka" (Wen et al., 2025) claims that codes of 8 to 32
active latents keep nearly all of what dense embeddings know, where shortened ones lose it. Codes "by label"
are trained with a contrast that draws rows of one intent together, as its second version does; on banking77
that helps at 4 active and costs from 8 on, with the weight of its authors. Without LATOM_DATA the rows are
made here.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from latom import SparseAutoencoder, topk

MADE = "made here"
CONTRAST = 0.1  # weight of the contrast by labels: that of the authors


def read(folder: Path, name: str) -> tuple[np.ndarray, ...]:
    """Train rows and labels, test rows and labels."""
    lines = (folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    parts = [line.split("\t") for line in lines]
    rows = np.load(folder / f"{name}-minilm.npy").astype(np.float32)
    if len(parts) == len(rows) + 1:  # a header
        parts = parts[1:]
    split = np.array([part[0] for part in parts])
    labels = np.unique([part[1] for part in parts], return_inverse=True)[1]
    return rows[split == "train"], labels[split == "train"], rows[split == "test"], labels[split == "test"]


def made(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Rows of unit length: each the sum of some of 60 directions, which its class shares, and noise."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((60, 48))
    classes = [rng.choice(60, 4, replace=False) for _ in range(24)]
    labels = rng.integers(24, size=2400)
    rows = np.array([rng.uniform(0.5, 1.5, 4) @ atoms[classes[label]] for label in labels])
    rows = normalize(rows + 1.2 * rng.standard_normal(rows.shape)).astype(np.float32)
    return rows[:1600], labels[:1600], rows[1600:], labels[1600:]


def scores(train: object, labels: np.ndarray, test: object, wanted: np.ndarray) -> tuple[float, float]:
    """Accuracy of the nearest row by cosine, and of logistic regression."""
    near = topk(test, train, 1, metric="cosine")[1][:, 0]
    own, other = normalize(train), normalize(test)
    scale = np.sqrt((own.multiply(own) if sp.issparse(own) else own**2).sum() / own.shape[0] / own.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=1.0, max_iter=60, tol=1e-3).fit(own / scale, labels)
        return float((labels[near] == wanted).mean()), float((model.predict(other / scale) == wanted).mean())


def compare(name: str, data: tuple[np.ndarray, ...], active: list[int], epochs: int, latents: int) -> dict:
    """Prints the table of a data set; returns it."""
    train, labels, test, wanted = data
    whole = scores(train, labels, test, wanted)
    print(f"{name}: {len(train):,} rows to learn from, {len(test):,} to tell, {train.shape[1]} columns")
    print(f"  dense: nearest row {whole[0]:.3f}, logistic regression {whole[1]:.3f}")
    heads = "  ".join(f"{head:>13}" for head in ("truncation", "PCA", "codes", "by label"))
    print(f"  {'active':>6}  {heads}   FVU  dead  seconds of training")
    table = {"dense": whole}
    for k in active:
        pca = PCA(k, random_state=0).fit(train)
        settings = {"learning_rate": 1e-3, "batch_size": 256, "max_epochs": epochs, "random_state": 0}
        start = time.perf_counter()
        model = SparseAutoencoder(latents, k, **settings).fit(train)
        seconds = time.perf_counter() - start
        drawn = SparseAutoencoder(latents, k, contrast_weight=CONTRAST, **settings).fit(train, labels)
        row = [
            scores(train[:, :k], labels, test[:, :k], wanted),
            scores(pca.transform(train), labels, pca.transform(test), wanted),
            scores(model.transform(train), labels, model.transform(test), wanted),
            scores(drawn.transform(train), labels, drawn.transform(test), wanted),
        ]
        table[k] = row
        last = model.history_[-1]
        cells = "  ".join(f"{near:.3f} / {linear:.3f}" for near, linear in row)
        print(f"  {k:6}  {cells}  {last['fvu']:.3f} {last['dead']:5.1%}  {seconds:.1f}")
    if 8 in active and name != MADE:
        codes, pca = table[8][2][0], table[8][1][0]
        verdict = "holds" if codes >= pca + 0.1 and codes >= whole[0] - 0.03 else "does not hold"
        print(
            f"  claim: at 8 active, nearest rows 10 points above PCA and within 3 of dense: {verdict} "
            f"({100 * (codes - pca):+.1f}, {100 * (codes - whole[0]):+.1f})"
        )
    behind = [k for k in active if table[k][1][0] > table[k][2][0]]
    if behind:
        print(f"  PCA's nearest rows are better at {', '.join(map(str, behind))} active")
    return table


def draw(tables: dict[str, dict], path: Path) -> None:
    """Accuracy of nearest rows by active entries."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(tables), figsize=(5 * len(tables), 3.6), squeeze=False)
    for axis, (name, table) in zip(axes[0], tables.items(), strict=True):
        active = [k for k in table if k != "dense"]
        for place, (label, color) in enumerate(
            (
                ("truncation", "#9a958c"),
                ("PCA", "#2f6f9f"),
                ("codes", "#c2512f"),
                ("codes, by label", "#7a3b8f"),
            )
        ):
            axis.plot(active, [table[k][place][0] for k in active], "o-", label=label, color=color)
        axis.axhline(table["dense"][0], color="#222222", lw=0.8, ls=":")
        axis.text(active[0], table["dense"][0], "dense", va="bottom", fontsize=8)
        axis.set_xscale("log", base=2)
        axis.set_xticks(active, map(str, active))
        axis.set(title=name, xlabel="active entries per row", ylabel="accuracy of the nearest row")
        axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    """Reads what there is, compares, and draws if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=["banking77", "clinc150"], default=["banking77"])
    parser.add_argument("--active", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--latents", type=int, default=1536)
    parser.add_argument("--plot", type=Path, help="write a figure of accuracy by active entries")
    given = parser.parse_args()
    folder = os.environ.get("LATOM_DATA")
    tables = {}
    for name in given.data if folder else [MADE]:
        data = read(Path(folder), name) if folder else made()
        latents = min(given.latents, 4 * data[0].shape[1])
        tables[name] = compare(name, data, given.active, given.epochs, latents)
    if given.plot:
        draw(tables, given.plot)


if __name__ == "__main__":
    main()
