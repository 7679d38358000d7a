"""Handwritten digits told apart by k-sparse codes, for several k.

    LATOM_DATA=/folder/with/data python examples/k_sparse_digits.py

Trains tied autoencoders of 1000 units without ReLU on images, k of them active, k falling from a larger
number while units would still die, and logistic regression on the codes. "k-Sparse Autoencoders"
(Makhzani & Frey, 2013) claims that the error on MNIST is least at a middle k, and well below that of raw
pixels. Its 60 000 images are not here: the 8000 of 10 000 that are learned from give higher errors.
Without LATOM_DATA scikit-learn's small digits are taken. `--plot FILE` draws errors by k, and latents as
images.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MaxAbsScaler

from latom import SparseAutoencoder


def read() -> tuple[np.ndarray, np.ndarray]:
    """Images as rows in [0, 1], and digits, in an order by chance."""
    folder = os.environ.get("LATOM_DATA")
    if folder:
        with np.load(Path(folder) / "mnist-test.npz") as file:
            names = sorted(file.files, key=lambda name: -file[name].ndim)
            X, y = file[names[0]].reshape(len(file[names[1]]), -1), file[names[1]]
    else:
        X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return (X[order] / X.max()).astype(np.float32), y[order]


def error(train: object, labels: np.ndarray, test: object, wanted: np.ndarray) -> float:
    """Of logistic regression."""
    scale = MaxAbsScaler().fit(train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=0.5, max_iter=100, tol=1e-3).fit(scale.transform(train), labels)
    return float((model.predict(scale.transform(test)) != wanted).mean())


def draw(k: list[int], errors: list[float], raw: float, latents: np.ndarray, path: Path) -> None:
    """Errors by k beside that of raw pixels; and some latents of the best k."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
    left.plot(k, [100 * error for error in errors], "o-", color="#c2512f", label="k-sparse codes")
    left.axhline(100 * raw, color="#222222", lw=0.8, ls=":", label="raw pixels")
    left.set_xscale("log")
    left.set_xticks(k, map(str, k))
    left.minorticks_off()
    left.set(xlabel="k, active latents per image", ylabel="test images told wrong (%)", ylim=(0, None))
    left.set_title("logistic regression on codes", fontsize=11)
    left.legend(frameon=False)
    side = int(np.sqrt(latents.shape[1]))
    strongest = latents[np.argsort(-np.abs(latents).max(axis=1))[:48]]
    tiles = np.full((6 * (side + 1) - 1, 8 * (side + 1) - 1), np.nan)
    for place, latent in enumerate(strongest):
        top, start = place // 8 * (side + 1), place % 8 * (side + 1)
        tiles[top : top + side, start : start + side] = latent.reshape(side, side) / np.abs(latent).max()
    shown = right.imshow(tiles, cmap="RdBu_r", vmin=-1, vmax=1)
    right.set_axis_off()
    right.set_title(f"48 latents, k = {k[int(np.argmin(errors))]}", fontsize=11)
    figure.colorbar(shown, ax=right, shrink=0.7, label="weight of a pixel, relative to the largest")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Prints the error for each k."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, nargs="+", default=[5, 10, 25, 40, 70])
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--plot", type=Path, help="write a figure of errors by k, and of latents")
    given = parser.parse_args()
    X, y = read()
    n = int(0.8 * len(X))
    raw = error(X[:n], y[:n], X[n:], y[n:])
    print(f"{n:,} images to learn from, {len(X) - n:,} to tell; raw pixels: {raw:.2%} wrong")
    print("    k   wrong    FVU   dead  seconds")
    errors: list[float] = []
    latents = np.zeros((1, X.shape[1]))  # of the best k
    for k in given.k:
        start = time.perf_counter()
        model = SparseAutoencoder(
            given.units,
            k,
            activation="identity",
            multi_k_weight=0,
            batch_size=256,
            max_epochs=given.epochs,
            k_schedule=("linear", max(k, 100), given.epochs / 2),
            random_state=0,
        ).fit(X[:n])
        seconds = time.perf_counter() - start
        errors.append(error(model.transform(X[:n]), y[:n], model.transform(X[n:]), y[n:]))
        if errors[-1] == min(errors):
            latents = model.components_
        last = model.history_[-1]
        print(f"  {k:3}  {errors[-1]:6.2%}  {last['fvu']:.3f}  {last['dead']:5.1%}  {seconds:.1f}")
    best = given.k[int(np.argmin(errors))]
    middle = best not in (min(given.k), max(given.k)) and min(errors) < raw
    print(
        f"claim: least at a middle k, below raw pixels: {'holds' if middle else 'does not hold'} (k = {best})"
    )
    if given.plot:
        draw(given.k, errors, raw, latents, given.plot)


if __name__ == "__main__":
    main()
