"""A dictionary of activations, made of activations: ITDA, with atoms that are tokens of sentences.

    python examples/activation_atoms.py activations.npz
    LATOM_DATA=/folder/with/data python examples/activation_atoms.py --place mlp

The file holds `residual` and `mlp` [tokens, columns] (any float type), `token` [tokens], strings, and
`sentence` [tokens], integers that say which tokens belong together. Without it, planted activations are made.
ITDA (Leask, Nanda & Al Moubayed, "Inference-time decomposition of activations", 2025) takes those rows into
its dictionary that the rows before them miss. Prints how much is missed beside other atoms of equal number,
atoms by their tokens, how far dictionaries share their tokens, and what adding one atom does to other tokens.

Seen on 19 935 rows of MiniLM's residual stream: 2405 atoms in half a second, FVU .16; as many rows drawn by
chance get .18, centers of k-means .11, also in half a second. A k-sparse autoencoder of that size is at .21
after 20 epochs, in sixteen times the time of ITDA: not the hundredfold of the paper, whose autoencoders saw
far more rows. Atoms do name what they fire on, and adding one turns
rows into its token. Dictionaries depend on the order of the rows: those of the rows from last to first share
no more with it than by chance.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latom import ITDA, AutoencoderState, SparseAutoencoder, SphericalKMeans, matching_pursuit, steer, topk
from latom.metrics import fvu, l0

STEPS = 20  # of the pursuit, per row
PLACES = {"residual": "the residual stream", "mlp": "the MLP's activations"}
TOL = {"residual": 0.3, "mlp": 0.5}
EPOCHS, NUMBERS = (3, 20), 2e7  # of the autoencoder: fewer where it has more numbers than these in 20 epochs


@dataclass
class Activations:
    """Rows at a place of a model, those of the same tokens at another, and what they belong to."""

    rows: np.ndarray  # [tokens, columns]
    others: np.ndarray
    elsewhere: str  # where the others are from
    token: np.ndarray
    sentence: np.ndarray

    @property
    def position(self) -> np.ndarray:
        """The sentence and the place in it, [tokens, 2]: what atoms are compared by."""
        first = np.r_[True, np.diff(self.sentence) != 0]
        start = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
        return np.stack([self.sentence, np.arange(len(first)) - start], axis=1)


def read(path: Path, rows: int, place: str) -> Activations:
    """The first rows of the file."""
    other = "mlp" if place == "residual" else "residual"
    with np.load(path) as file:
        parts = [file[name][:rows] for name in (place, other, "token", "sentence")]
    return Activations(parts[0].astype(np.float32), parts[1].astype(np.float32), PLACES[other], *parts[2:])


def planted(rows: int) -> Activations:
    """Sums of a word's direction, its neighbor's and noise: 200 words, 48 columns."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 200, rows)
    made = []
    for columns in (48, 96):
        table = rng.standard_normal((200, columns))
        noise = rng.standard_normal((rows, columns))
        made.append((table[words] + 0.4 * table[np.roll(words, 1)] + 0.15 * noise).astype(np.float32))
    named = np.array([f"word{j}" for j in range(200)])[words]
    return Activations(*made, "96 columns", named, np.arange(rows) // 20)


def timed(run: Callable[[], np.ndarray | ITDA]) -> tuple[np.ndarray | ITDA, float]:
    """A result and its seconds."""
    start = time.perf_counter()
    return run(), time.perf_counter() - start


def missed(X: np.ndarray, atoms: np.ndarray) -> tuple[float, float]:
    """FVU and L0 of rows that are coded with atoms by matching pursuit."""
    codes = matching_pursuit(X, atoms, STEPS)
    return fvu(X, codes @ atoms), l0(codes)


def compare(X: np.ndarray, model: ITDA, seconds: float) -> None:
    """The dictionary beside other atoms of the same number, pursued alike, and beside PCA."""
    m = len(model.components_)
    rng = np.random.default_rng(0)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    chance, drawing = timed(lambda: unit[np.sort(rng.permutation(len(X))[:m])])
    centers, clustering = timed(
        lambda: SphericalKMeans(m, max_iter=5, random_state=0).fit(X).cluster_centers_
    )
    print(f"\n{m} atoms, {STEPS} steps of pursuit per row       FVU     L0   seconds")
    for name, atoms, time_taken in (
        ("ITDA", model.components_, seconds),
        ("rows by chance", chance, drawing),
        ("centers of spherical k-means", centers, clustering),
    ):
        found, active = missed(X, np.asarray(atoms, X.dtype))
        print(f"  {name:38} {found:6.3f} {active:6.1f} {time_taken:9.2f}")
    start = time.perf_counter()
    centered = X - X.mean(axis=0)
    values = np.linalg.eigvalsh(centered.T @ centered)
    rank = min(STEPS, len(values))
    left = max(0.0, 1 - values[-rank:].sum() / values.sum())
    print(
        f"  {f'PCA, the same {rank} directions for all':38} {left:6.3f} {rank:6.1f} "
        f"{time.perf_counter() - start:9.2f}"
    )


def beside_autoencoder(
    X: np.ndarray, model: ITDA, seconds: float, epochs: int
) -> tuple[tuple[float, float], list[tuple[float, float]]]:
    """An autoencoder of as many latents and the same k, and when it passes the dictionary.

    Returns (seconds, FVU): of the dictionary, and of each epoch.
    """
    m = len(model.components_)
    passed: list[tuple[float, float]] = []
    start = time.perf_counter()

    def note(state: AutoencoderState) -> None:
        passed.append((time.perf_counter() - start, state.fvu))

    autoencoder = SparseAutoencoder(m, STEPS, max_epochs=epochs, callback=note, random_state=0)
    codes = autoencoder.fit(X).transform(X)
    found, active = fvu(X, autoencoder.inverse_transform(codes)), l0(codes)
    name = f"k-sparse autoencoder, {epochs} epochs"
    print(f"  {name:38} {found:6.3f} {active:6.1f} {passed[-1][0]:9.2f}")
    ours = missed(X, model.components_)[0]
    at = next((t for t, left in passed if left <= ours), None)
    if at is None:
        print(
            f"  It did not come below ITDA's FVU. ITDA took {seconds / passed[-1][0]:.0%} of its time", end=""
        )
    else:
        print(f"  It was below ITDA's FVU after {at:.1f} s. ITDA took {seconds / at:.0%} of that", end="")
    print("; the paper: 8 minutes against 2 to 8 hours.")
    return (seconds, ours), passed


def readable(token: str) -> str:
    """A piece of a word with a hyphen instead of its tokenizer's mark."""
    return f"-{token[2:]}" if token.startswith("##") else token


def around(data: Activations, row: int) -> str:
    """The token of a row between its neighbors."""
    near = [i for i in range(row - 3, row + 4) if 0 <= i < len(data.token)]
    near = [i for i in near if data.sentence[i] == data.sentence[row]]
    return " ".join(f"[{readable(data.token[i])}]" if i == row else readable(data.token[i]) for i in near)


def describe(data: Activations, model: ITDA, count: int) -> int:
    """Atoms that many other rows lean on most: their token, and the tokens that they fire on hardest."""
    codes = model.transform(data.rows).tocsc()
    strength = np.asarray(np.abs(codes).sum(axis=0)).ravel()
    print("\natom  its token in its sentence                                  fires hardest on")
    shown: set[str] = set()
    chosen = -1
    for j in np.argsort(-strength):
        row = int(model.atom_indices_[j])
        token = str(data.token[row])
        if token in shown or len(token) < 4 or not token.isalnum():
            continue
        part = slice(codes.indptr[j], codes.indptr[j + 1])
        order = np.argsort(-codes.data[part])
        tokens = list(dict.fromkeys(readable(str(t)) for t in data.token[codes.indices[part][order]]))
        print(f"{j:5} {around(data, row)[:58]:58} {', '.join(tokens[:5])}")
        shown.add(token)
        chosen = int(j) if chosen < 0 else chosen
        if len(shown) == count:
            break
    return chosen


def share(data: Activations, model: ITDA, tol: float) -> None:
    """Jaccard similarity of dictionaries by the places of their atoms."""
    position = data.position
    backwards = np.arange(len(position))[::-1]
    others = {
        "the same rows with k = 40": ITDA(40, tol).fit(data.rows, labels=position),
        "the same rows, last first": ITDA(STEPS, tol).fit(data.rows[backwards], labels=position[backwards]),
        f"{data.elsewhere} of the same tokens": ITDA(STEPS, tol).fit(data.others, labels=position),
    }
    print("\nJaccard similarity with the dictionary of        by chance")
    n = len(position)
    for name, other in others.items():
        a, b = len(model.components_), len(other.components_)
        both = a * b / n
        print(f"  {name:41} {model.jaccard(other):.2f}  {both / (a + b - both):.2f}   ({b} atoms)")
    print("  the paper: .56-.59 between models of one architecture, .46-.47 between architectures")


def push(data: Activations, model: ITDA, atom: int) -> None:
    """What tokens become that get an atom added: the token of the row that is then nearest."""
    rng = np.random.default_rng(1)
    rows = np.sort(rng.permutation(len(data.token))[:500])
    X = data.rows[rows]
    name = data.token[model.atom_indices_[atom]]
    length = float(np.linalg.norm(X, axis=1).mean())
    print(f"\nadding atom {atom} [{readable(name)}] to 500 rows: the share nearest to a row of that token")
    for strength in (0.0, 0.5, 1.0, 2.0):
        moved = steer(X, model, {atom: strength * length}, mode="add")
        nearest = topk(moved, data.rows, 1, metric="cosine")[1][:, 0]
        print(f"  {strength:3.1f} x the mean length: {(data.token[nearest] == name).mean():6.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="default: from LATOM_DATA, else planted")
    parser.add_argument("--place", choices=list(PLACES), default="residual", help="of the file's rows")
    parser.add_argument(
        "--tol", type=float, help="squared error at which a row becomes an atom (.3; of the MLP's .5)"
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, help="of the autoencoder beside it (3 to 20, by its size)")
    parser.add_argument("--plot", type=Path, help="write a figure of atoms against FVU")
    arguments = parser.parse_args()
    file = arguments.file
    if file is None and "LATOM_DATA" in os.environ:
        file = Path(os.environ["LATOM_DATA"]) / "minilm-activations.npz"
    data = planted(arguments.rows) if file is None else read(file, arguments.rows, arguments.place)
    X, tol = data.rows, TOL[arguments.place] if arguments.tol is None else arguments.tol
    print(f"{len(X):,} rows of {X.shape[1]} columns")
    model, seconds = timed(lambda: ITDA(STEPS, tol).fit(X, labels=data.position))
    assert isinstance(model, ITDA)
    compare(X, model, seconds)
    few, many = EPOCHS
    own, epochs = beside_autoencoder(
        X,
        model,
        seconds,
        arguments.epochs or max(few, min(many, int(NUMBERS / model.components_.size))),
    )
    atom = describe(data, model, 10)
    share(data, model, tol)
    if atom >= 0:
        push(data, model, atom)
    if arguments.plot:
        draw(X, tol, own, epochs, arguments.plot)


def draw(
    X: np.ndarray, tol: float, own: tuple[float, float], epochs: list[tuple[float, float]], path: Path
) -> None:
    """Atoms against FVU, for both ways of growing; and FVU against the time of training."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import ticker

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for update, color in (("batch", "#c2512f"), ("sequential", "#2f6f9f")):
        points = []
        for factor in (2, 5 / 3, 4 / 3, 1, 5 / 6, 2 / 3):
            model = ITDA(STEPS, tol * factor, update=update).fit(X)
            points.append((len(model.components_), missed(X, model.components_)[0]))
        left.plot(*zip(*points, strict=True), "o-", color=color, label=update)
    left.set(xscale="log", xlabel="atoms", ylabel="fraction of variance unexplained")
    left.set_title(f"ITDA, {STEPS} steps of pursuit per row", fontsize=11)
    right.plot(*zip(*epochs, strict=True), ".-", color="#9a958c", label="k-sparse autoencoder, per epoch")
    right.plot(*own, "o", color="#c2512f", ms=8, label="ITDA, as many atoms")
    right.set(xscale="log", xlabel="seconds of training")
    right.set_title("beside an autoencoder of the same size and k", fontsize=11)
    for axes in (left, right):  # plain numbers
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.legend(frameon=False)
    left.set_ylim(0, min(0.8, left.get_ylim()[1]))
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
