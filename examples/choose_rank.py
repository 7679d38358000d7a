"""How many components a matrix has, by what replicates of its factorization agree on.

    LATOM_DATA=/folder/with/data python examples/choose_rank.py [--plot rank.png]

NMFk (Alexandrov et al. 2013; Vangara et al. 2021): factor slightly perturbed copies of X from random starts,
match their components, and take the largest number whose components all come back. Four matrices: one of
planted parts that hardly overlap; one of dense parts, which all look alike; word counts of ten categories of
arXiv; images of digits. Without data, the last two are left out.

Dense parts take thousands of iterations to be told apart. From some rank on none suffice: with 10 of them and
noise of a tenth, the last singular value of 200 x 150 numbers is less than twice the noise's, and replicates
end in minima of their own whose losses differ by a thousandth. There the fit decides: beyond the number of
parts the error falls by no more than noise explains.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from latom import NMF, RankSelection, select_n_components


def planted(k: int = 7) -> np.ndarray:
    """Mixtures of sparse parts, with noise of a tenth of their length."""
    rng = np.random.default_rng(0)
    X = rng.dirichlet(np.full(k, 0.3), 200) @ rng.dirichlet(np.full(150, 0.1), k)
    noise = rng.standard_normal(X.shape)
    return np.maximum(X + noise * np.linalg.norm(X) / np.linalg.norm(noise) / 10, 0).astype(np.float32)


def overlapping(k: int = 5) -> np.ndarray:
    """Sums of dense parts with dense weights, and noise of a tenth of their length."""
    rng = np.random.default_rng(0)
    X = rng.random((200, k)) @ rng.random((k, 150))
    noise = rng.standard_normal(X.shape)
    return np.maximum(X + noise * np.linalg.norm(X) / np.linalg.norm(noise) / 10, 0).astype(np.float32)


def arxiv(folder: Path, categories: int = 10, each: int = 250) -> sp.csr_array:
    """TF-IDF with unit rows of abstracts of the commonest categories, of words in 20 of them at least."""
    import lzma

    with np.load(folder / "arxiv-counts.npz") as file:
        X = sp.csr_array((file["data"], file["indices"], file["indptr"]), shape=tuple(file["shape"]))
    with lzma.open(folder / "arxiv-meta.tsv.xz", "rt", encoding="utf-8") as meta:
        lines = meta.read().split("\n")
    names, place, count = np.unique(
        [line.split("\t")[1] for line in lines if line], return_inverse=True, return_counts=True
    )
    rng = np.random.default_rng(0)
    kept = np.argsort(-count)[:categories]
    print("categories:", ", ".join(names[kept]))
    chosen = [rng.choice(np.flatnonzero(place == c), each, replace=False) for c in kept]
    X = X[np.concatenate(chosen)].astype(np.float64)
    X.data = 1 + np.log(X.data)
    seen = np.bincount(X.indices, minlength=X.shape[1])
    X = sp.csr_array(X[:, (seen >= 20) & (seen < 0.2 * X.shape[0])])
    seen = np.bincount(X.indices, minlength=X.shape[1])
    X.data *= np.log(X.shape[0] / seen)[X.indices]
    length = np.sqrt(np.bincount(np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), X.data**2, X.shape[0]))
    X.data /= np.repeat(np.where(length > 0, length, 1), np.diff(X.indptr))
    return X.astype(np.float32)


def digits(folder: Path) -> np.ndarray:
    """1500 images of digits, at half of their resolution."""
    images = np.load(folder / "mnist-test.npz")["X"][:1500].reshape(-1, 14, 2, 14, 2)
    return np.ascontiguousarray(images.mean(axis=(2, 4)).reshape(len(images), -1), np.float32) / 255


def report(
    name: str, X: object, candidates: range, replicates: int, claim: str, estimator: NMF | None = None
) -> RankSelection:
    """Run, print and return one selection."""
    begin = time.perf_counter()
    found = select_n_components(X, candidates, estimator=estimator, n_replicates=replicates, random_state=0)
    seconds = time.perf_counter() - begin
    size = f"{X.shape[0]} x {X.shape[1]}"
    print(f"{name}: {size}, {replicates} replicates of {len(candidates)} ranks, {seconds:.1f} s")
    print("  components " + "".join(f"{k:7d}" for k in found.candidates))
    print("  lowest     " + "".join(f"{s:7.2f}" for s in found.stability))
    print("  mean       " + "".join(f"{s:7.2f}" for s in found.mean_stability))
    print("  error      " + "".join(f"{e:7.3f}" for e in found.error))
    none = "" if (found.stability >= 0.9).any() else ", the most stable, as none reaches 0.9"
    print(f"  claim: {claim}; seen: {found.n_components}{none}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=10)
    parser.add_argument("--plot", type=Path, metavar="FILE")
    given = parser.parse_args()
    folder = os.environ.get("LATOM_DATA")
    count, short = given.replicates, NMF(max_iter=100)
    found = {
        "planted parts": report("planted parts", planted(), range(4, 11), count, "7"),
        "dense parts": report("dense parts", overlapping(), range(3, 8), count, "5"),
    }
    if folder:
        X = arxiv(Path(folder))
        found["arXiv"] = report("arXiv", X, range(6, 15), count, "10 categories, +-2", short)
        X = digits(Path(folder))
        found["digits"] = report("digits", X, range(4, 21, 2), count, "none; the stability curve", short)
    if given.plot:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        rows = len(found) // 2
        figure, axes = pyplot.subplots(rows, 2, figsize=(10.4, 3.8 * rows))
        for ax, (name, selection) in zip(axes.flat, found.items(), strict=True):
            selection.plot(ax)
            ax.set_title(f"{name}: {selection.n_components}")
        figure.tight_layout()
        figure.savefig(given.plot, dpi=130)


if __name__ == "__main__":
    main()
