"""Features of the activations of an MLP, each with the tokens that activate it most.

    python examples/mlp_features.py activations.npz
    LATOM_DATA=/folder/with/data python examples/mlp_features.py

The file holds `mlp` [tokens, neurons], activations after the non-linearity (any float type), `token`
[tokens], strings, and `sentence` [tokens], integers that say which tokens belong together. Semi-NMF finds
features: sparse sets of neurons with signs, which add up with non-negative weights to the activations
(Shafran, Geiger & Geva, "Decomposing MLP activations into interpretable features via semi-nonnegative
matrix factorization", 2025). Prints all features, the most selective first, and draws some of them.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from latom import SemiNMF

SPECIAL = ("[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<bos>", "<|endoftext|>")
SEEN = 3  # tokens met less often are not listed


@dataclass
class Activations:
    """Rows of X and what they belong to."""

    X: np.ndarray  # [tokens, neurons]
    token: np.ndarray
    sentence: np.ndarray


@dataclass
class Feature:
    """One component: its codes on all tokens, and the tokens with the highest mean code."""

    number: int
    codes: np.ndarray
    neurons: np.ndarray
    tokens: list[str]
    means: np.ndarray  # of the codes of `tokens`, relative to the highest code

    @property
    def name(self) -> str:
        """The two strongest tokens."""
        return ", ".join(map(readable, self.tokens[:2]))


def read(path: Path) -> Activations:
    """The file without special tokens, whose activations are like no others."""
    with np.load(path) as file:
        X, token, sentence = file["mlp"], file["token"], file["sentence"]
    kept = ~np.isin(token, SPECIAL)
    return Activations(X[kept], token[kept], sentence[kept])


def find(data: Activations, components: int, keep_fraction: float, iterations: int) -> list[Feature]:
    """Features, the most selective first: those whose codes are large on the smallest share of the tokens."""
    model = SemiNMF(components, keep_fraction=keep_fraction, refit=True, max_iter=iterations, random_state=0)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        W = model.fit_transform(data.X)
    total = float(np.einsum("ij,ij->", data.X, data.X, dtype=np.float64))
    kept = int((model.components_ != 0).sum(axis=1).max())
    print(
        f"{len(data.X):,} tokens, {data.X.shape[1]:,} neurons: {components} features of {kept} neurons "
        f"explain {1 - model.reconstruction_err_**2 / total:.0%}; {model.n_iter_} iterations, "
        f"{time.perf_counter() - start:.1f} s"
    )
    types, of_type, counts = np.unique(data.token, return_inverse=True, return_counts=True)
    squares = W.astype(np.float64) ** 2
    fourth = (squares**2).sum(axis=0)
    share = np.divide(squares.sum(axis=0) ** 2, fourth, out=np.full(len(fourth), np.inf), where=fourth > 0)
    features = []
    for j in np.argsort(share):
        means = np.bincount(of_type, W[:, j], len(types)) / counts
        means[counts < SEEN] = 0
        best = np.argsort(-means)[:8]
        top = max(W[:, j].max(), np.finfo(W.dtype).tiny)
        features.append(
            Feature(
                int(j), W[:, j] / top, model.components_[j], list(map(str, types[best])), means[best] / top
            )
        )
    return features


def readable(token: str) -> str:
    """A piece of a word with a hyphen instead of its tokenizer's mark."""
    return f"-{token[2:]}" if token.startswith("##") else token.replace("▁", "").replace("Ġ", "")


def distinct(features: list[Feature], count: int) -> list[Feature]:
    """The first features of words, not punctuation or pieces, that share at most two of their tokens."""
    chosen: list[Feature] = []
    for feature in features:
        words = sum(token.isalnum() for token in feature.tokens)
        if (
            len(chosen) < count
            and words > 5
            and all(len({*feature.tokens} & {*other.tokens}) <= 2 for other in chosen)
        ):
            chosen.append(feature)
    return chosen


def telling_sentences(
    data: Activations, features: list[Feature], count: int, longest: int
) -> list[np.ndarray]:
    """The rows of sentences that together activate as many of the features as possible, strongly."""
    codes = np.stack([feature.codes for feature in features], axis=1)
    starts = np.flatnonzero(np.r_[True, np.diff(data.sentence) != 0])
    rows = [
        np.arange(a, b)
        for a, b in zip(starts, [*starts[1:], len(codes)], strict=True)
        if 5 <= b - a <= longest
    ]
    best = np.array([codes[own].max(axis=0) for own in rows])
    reached, chosen = np.zeros(len(features)), []
    for _ in range(min(count, len(rows))):
        gain = np.maximum(best - reached, 0).sum(axis=1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        reached = np.maximum(reached, best[chosen[-1]])
    return [rows[i] for i in chosen]


def draw(data: Activations, features: list[Feature], path: Path) -> None:
    """A card a feature, and sentences with what the features say of each token."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    paper, ink, gray, up, down = "#fbfaf7", "#222222", "#9a958c", "#c2512f", "#2f6f9f"
    colors = matplotlib.colors.LinearSegmentedColormap.from_list("codes", [paper, "#f3d9c4", up, "#6d1f10"])
    pyplot.rcParams.update({"text.color": ink, "axes.edgecolor": gray, "text.parse_math": False})
    across = 4
    down_cards = -(-len(features) // across)
    inches = (1.1, 2.6 * down_cards, 0.75, 3.1, 0.95)  # head, cards, gap, sentences, their tokens
    height = sum(inches)
    figure = pyplot.figure(figsize=(13, height), facecolor=paper)
    top, bottom = 1 - inches[0] / height, inches[4] / height
    middle = top - inches[1] / height
    cards_area = figure.add_gridspec(1, 1, left=0.03, right=0.985, top=top, bottom=middle)
    heat_area = figure.add_gridspec(
        1, 1, left=0.03, right=0.9, top=middle - inches[2] / height, bottom=bottom
    )
    cards = cards_area[0].subgridspec(down_cards, across, wspace=0.12, hspace=0.3)
    d = data.X.shape[1]
    for place, feature in enumerate(features):
        card = cards[place // across, place % across].subgridspec(2, 1, height_ratios=[5, 1], hspace=0.06)
        bars = figure.add_subplot(card[0], facecolor="none")
        at = np.arange(len(feature.tokens))
        bars.barh(
            at, feature.means, height=0.78, color=colors(0.15 + 0.55 * feature.means / feature.means[0])
        )
        for y, token, mean in zip(at, feature.tokens, feature.means, strict=True):
            color = paper if mean > 0.72 * feature.means[0] else ink
            bars.text(0.015 * feature.means[0], y, readable(token), va="center", fontsize=10.5, color=color)
        bars.set(ylim=(len(at) - 0.4, -0.6), xlim=(0, 1.02 * feature.means[0]))
        active = (feature.codes > 0.1).mean()
        bars.set_title(feature.name, loc="left", fontsize=11.5, fontweight="bold", pad=5)
        bars.set_title(f"{feature.number}, on {active:.0%} of tokens", loc="right", fontsize=7.5, color=gray)
        bars.set_axis_off()
        stems = figure.add_subplot(card[1], facecolor="none")
        used = np.flatnonzero(feature.neurons)
        weights = feature.neurons[used] / np.abs(feature.neurons).max()
        stems.vlines(used, 0, weights, color=np.where(weights > 0, up, down), lw=1.6)
        stems.axhline(0, color=gray, lw=0.6)
        stems.set(xlim=(0, d), ylim=(-1.1, 1.1))
        stems.set_axis_off()
    sentences = telling_sentences(data, features, 4, 16)
    gap = np.full((len(features), 1), np.nan)
    blocks, labels, places = [], [], []
    for rows in sentences:
        places += range(sum(b.shape[1] for b in blocks), sum(b.shape[1] for b in blocks) + len(rows))
        labels += [readable(str(token)) for token in data.token[rows]]
        blocks += [np.stack([feature.codes[rows] for feature in features]), gap]
    heat = figure.add_subplot(heat_area[0], facecolor="none")
    heat.imshow(np.concatenate(blocks[:-1], axis=1), aspect="auto", cmap=colors, vmin=0, vmax=1)
    heat.set_xticks(places, labels, rotation=55, ha="right", rotation_mode="anchor", fontsize=9)
    heat.set_yticks(range(len(features)), [feature.name for feature in features], fontsize=9)
    heat.yaxis.tick_right()
    heat.tick_params(length=0)
    heat.set_xticks(np.array(places) - 0.5, minor=True)
    heat.set_yticks(np.arange(len(features)) - 0.5, minor=True)
    heat.grid(which="minor", color=paper, lw=1.2)
    heat.tick_params(which="minor", length=0)
    heat.spines[:].set_visible(False)
    heat.set_title("The same features on some sentences", loc="left", fontsize=12, fontweight="bold", pad=8)
    figure.text(
        0.03, 1 - 0.36 / height, "What the neurons of an MLP say together", fontsize=19, fontweight="bold"
    )
    kept = np.count_nonzero(features[0].neurons)
    figure.text(
        0.03,
        1 - 0.6 / height,
        f"Semi-NMF of {len(data.X):,} activations of {d:,} neurons. A card: the tokens with the highest mean "
        f"code, and the {kept} neurons of the feature (red adds, blue subtracts).",
        fontsize=9.5,
        color="#6b665e",
    )
    figure.savefig(path, dpi=130, facecolor=paper)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ.get("LATOM_DATA", ""), "minilm-activations.npz")
    parser.add_argument("activations", nargs="?", type=Path, default=default)
    parser.add_argument("--components", type=int, default=200)
    parser.add_argument(
        "--keep", type=float, default=0.01, help="share of the neurons that a feature keeps (0.01)"
    )
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--draw", type=int, default=12, help="features to draw (12)")
    parser.add_argument("--output", type=Path, default=Path("mlp_features.png"))
    arguments = parser.parse_args()
    if not arguments.activations.is_file():
        parser.error(
            f"no file {arguments.activations}: name one, or set LATOM_DATA to the folder that holds it"
        )
    data = read(arguments.activations)
    features = find(data, arguments.components, arguments.keep, arguments.iterations)
    for feature in features:
        print(f"{feature.number:4d}  {'  '.join(map(readable, feature.tokens))}")
    draw(data, distinct(features, arguments.draw), arguments.output)
    print(arguments.output)


if __name__ == "__main__":
    main()
