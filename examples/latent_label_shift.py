"""Classes without one label, from how often each occurs in several domains.

    LATOM_DATA=/folder/with/data python examples/latent_label_shift.py [--plot shift.png]

Roberts, Mani, Garg & Lipton ("Unsupervised learning under latent label shift", 2022): where domains differ in
the shares of their classes alone, a classifier of domains tells enough to find the classes. Its p(domain | x)
is cut into cells by k-means, and NMF of the table of cells by domains gives p(cell | class) and
p(class | domain). Their claim: better than clustering of the features alone, most where shares differ most.

Here the classes are ten categories of arXiv, the features MiniLM embeddings, and the shares of 20 domains are
drawn from Dirichlet(alpha); the classifier is scikit-learn's LogisticRegression. Beside it stand k-means of
the embeddings, and one NMF of scikit-learn in place of ours with 20 starts. The second table shows what the
paper warns of: in banking77, classes are groups of intents, and shares follow single intents, so that classes
do not look the same in all domains. Without data, embeddings are made up.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import NMF as OtherNMF
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from latom import KMeans, LatentLabelShift

warnings.filterwarnings("ignore")


def made_up(classes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows about centers that are not far from each other, and their classes."""
    y = np.repeat(np.arange(classes), 1200)
    return rng.standard_normal((classes, 24))[y] + 1.2 * rng.standard_normal((len(y), 24)), y


def arxiv(folder: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of abstracts of the categories with the most of them."""
    import lzma

    X = np.load(folder / "arxiv-minilm.npy", mmap_mode="r")
    rows = np.load(folder / "arxiv-minilm-rows.npy")
    with lzma.open(folder / "arxiv-meta.tsv.xz", "rt", encoding="utf-8") as meta:
        lines = meta.read().split("\n")
    category = np.array([line.split("\t")[1] for line in lines if line])[rows]
    _, place, count = np.unique(category, return_inverse=True, return_counts=True)
    kept = np.argsort(-count)[:classes]
    chosen = np.flatnonzero(np.isin(place, kept))
    order = {name: i for i, name in enumerate(kept)}
    return X[chosen].astype(np.float64), np.array([order[p] for p in place[chosen]])


def banking(folder: Path, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, groups of intents that lie together, and the intents."""
    X = np.load(folder / "banking77-minilm.npy").astype(np.float64)
    lines = (folder / "banking77.tsv").read_text().split("\n")
    intent = np.unique([line.split("\t")[1] for line in lines if line], return_inverse=True)[1]
    means = np.stack([X[intent == i].mean(axis=0) for i in range(intent.max() + 1)])
    groups = KMeans(classes, n_init=20, random_state=0).fit(means).labels_
    return X, groups[intent], intent


def with_domains(
    y: np.ndarray, follows: np.ndarray, domains: int, alpha: float, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chosen rows, their domains and the shares of y, where shares of `follows` are Dirichlet(alpha)."""
    kinds = int(follows.max()) + 1
    places = [rng.permutation(np.flatnonzero(follows == c)) for c in range(kinds)]
    chosen, domain = [], []
    for d in range(domains):
        wanted = rng.multinomial(size, rng.dirichlet(np.full(kinds, alpha)))
        for c, count in enumerate(wanted):
            part = rng.choice(places[c], min(count, len(places[c])), replace=False)
            chosen.append(part)
            domain.append(np.full(len(part), d))
    order = rng.permutation(sum(map(len, chosen)))  # folds of the classifier must hold all classes
    rows, of = np.concatenate(chosen)[order], np.concatenate(domain)[order]
    share = np.zeros((domains, int(y.max()) + 1))
    np.add.at(share, (of, y[rows]), 1.0)
    return rows, of, share / share.sum(axis=1, keepdims=True)


def accuracy(found: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Under the best matching of labels to classes, and that matching."""
    k = int(max(found.max(), y.max())) + 1
    table = np.zeros((k, k))
    np.add.at(table, (found, y), 1)
    left, right = linear_sum_assignment(-table)
    return table[left, right].sum() / len(y), right


class OneFactorization(LatentLabelShift):
    """With one NMF of scikit-learn's, as the authors' code has it."""

    def _factors(self, table: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        model = OtherNMF(self.n_classes, init="random", random_state=seed % 2**31)
        begin = time.perf_counter()
        W = model.fit_transform(table.T)
        self.seconds = time.perf_counter() - begin
        return W, model.components_


class Timed(LatentLabelShift):
    """Which says how long its factorizations took."""

    def _factors(self, table: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        begin = time.perf_counter()
        found = super()._factors(table, seed)
        self.seconds = time.perf_counter() - begin
        return found


def run(
    X: np.ndarray,
    y: np.ndarray,
    follows: np.ndarray,
    domains: int,
    alpha: float,
    size: int,
    seed: int,
) -> dict[str, float]:
    """One line of a table."""
    rng = np.random.default_rng(seed)
    rows, domain, share = with_domains(y, follows, domains, alpha, size, rng)
    classes = int(y.max()) + 1
    plain = KMeans(classes, n_init=5, random_state=seed).fit(X[rows]).labels_
    classifier = LogisticRegression(max_iter=100, C=1.0)
    P = cross_val_predict(classifier, X[rows], domain, cv=2, method="predict_proba")
    line = {"k-means": accuracy(plain, y[rows])[0]}
    for name, model in [
        ("one NMF", OneFactorization(classes, random_state=seed)),
        ("20 starts", Timed(classes, init="random", random_state=seed)),
        ("anchors", Timed(classes, init="anchors", random_state=seed)),
        ("both", Timed(classes, random_state=seed)),
    ]:
        model.fit(P, domain)
        line[name], place = accuracy(model.labels_, y[rows])
        line[name + ", error"] = float(np.abs(model.class_prior_ - share[:, place]).sum() / domains)
        line[name + ", ms"] = 1000 * model.seconds
    return line


def table(title: str, lines: dict[str, dict[str, float]]) -> None:
    """Print accuracies, errors of the shares and times of the factorizations."""
    print(title)
    print(f"{'':14}{'accuracy':^55}{'error of p(class | domain)':^44}{'ms of NMF':^40}")
    names = ("k-means", "one NMF", "20 starts", "anchors", "both")
    print(
        f"{'':14}" + "".join(f"{n:>11}" for n in names + names[1:]) + "".join(f"{n:>10}" for n in names[1:])
    )
    for label, line in lines.items():
        shown = [f"{line[n]:11.3f}" for n in names] + [f"{line[n + ', error']:11.3f}" for n in names[1:]]
        shown += [f"{line[n + ', ms']:10.1f}" for n in names[1:]]
        print(f"{label:14}" + "".join(shown))


def draw(lines: dict[str, dict[str, float]], path: Path) -> None:
    """Accuracy by alpha."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(6.4, 4))
    names = ("k-means", "one NMF", "20 starts", "anchors", "both")
    at = np.arange(len(lines))
    for i, name in enumerate(names):
        ax.bar(at + 0.16 * (i - 2), [line[name] for line in lines.values()], 0.16, label=name)
    ax.set_xticks(at, list(lines))
    ax.set_ylim(0, 1)
    ax.set_ylabel("accuracy, labels matched")
    ax.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.12))
    figure.savefig(path, dpi=150, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--domains", type=int, default=20)
    parser.add_argument("--size", type=int, default=600, help="rows of a domain")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    given = parser.parse_args()
    folder = os.environ.get("LATOM_DATA")
    rng = np.random.default_rng(0)
    X, y = arxiv(Path(folder), given.classes) if folder else made_up(given.classes, rng)
    lines = {
        f"alpha {alpha:g}": run(X, y, y, given.domains, alpha, given.size, seed)
        for seed, alpha in enumerate((0.5, 3.0))
    }
    source = "arXiv" if folder else "made-up rows"
    table(f"{source}: {given.classes} classes, {given.domains} domains of {given.size} rows", lines)
    first = lines["alpha 0.5"]
    gain, best = (100 * (first[name] - first["k-means"]) for name in ("20 starts", "both"))
    print("claim: above k-means of the features, most where shares differ most (alpha 0.5)")
    print(f"seen: {gain:+.1f} points with 20 starts, {best:+.1f} with anchors among them")
    if folder:
        X, y, intent = banking(Path(folder), given.classes)
        other = {
            "by group": run(X, y, y, given.domains, 0.5, given.size // 2, 0),
            "by intent": run(X, y, intent, given.domains, 0.5, given.size // 2, 0),
        }
        table(f"banking77: {given.classes} groups of intents; shares that follow groups, or intents", other)
        lines |= other
    if given.plot:
        draw(lines, given.plot)


if __name__ == "__main__":
    main()
