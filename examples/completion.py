"""When a matrix comes back from some of its entries, what that costs, and a table with holes filled in.

    LATOM_DATA=/folder/with/data python examples/completion.py
    python examples/completion.py --plot phases.png    # a table made up here

Four parts. Which matrices of rank k with |O| observed entries are recovered, by exact and by inexact
solvers, against the oversampling |O| / (k (n + d - k)): to 1e-5, which no matrix reaches that has a row with
fewer than k entries. Seconds against |O| k. How much customers buy of an item, a tenth held out. A table of
connections (KDD Cup 1999) of which a fifth is knocked out, beside scikit-learn's imputers.

Claims: inexact regressions keep the guarantees of alternating minimization, in time nearly linear in |O| k
(Gu, Song, Yin & Zhang, "Low rank matrix completion via robust alternating minimization in nearly linear
time", ICLR 2024; it has no experiments).
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from latom import LowRankImputer, MatrixCompletion

SOLVERS = ("cholesky", "cg", "sketch")


def planted(
    n: int, d: int, k: int, entries: int, rng: np.random.Generator
) -> tuple[Any, np.ndarray, np.ndarray]:
    """A random matrix of rank k, as factors, and about so many of its entries."""
    U, V = rng.standard_normal((n, k)), rng.standard_normal((d, k))
    place = np.unique(rng.integers(n * d, size=int(entries)))
    i, j = place // d, place % d
    values = np.einsum("pk,pk->p", U[i], V[j])
    return sp.csr_matrix((values, (i, j)), shape=(n, d)), U, V


def recovered(solver: str, k: int, X: Any, U: np.ndarray, V: np.ndarray) -> bool:
    """Whether the whole matrix comes back to 1e-5 of its length."""
    options: dict[str, Any] = {
        "fit_bias": False,
        "alpha": 1e-12,
        "tol": 1e-3,  # where it fails, it does not fall further
        "max_iter": 500,
        "callback": lambda state: state.rmse < 1e-7,  # entries are of about sqrt(k)
        "random_state": 0,
    }
    model = MatrixCompletion(k, solver=solver, **options).fit(X)
    whole = U @ V.T
    return bool(np.linalg.norm(model.row_factors_ @ model.components_ - whole) < 1e-5 * np.linalg.norm(whole))


def phases(size: int, trials: int) -> dict[str, np.ndarray]:
    """Shares of matrices that are recovered [ranks, oversamplings], by solver."""
    ranks, sampling = (2, 4, 8), (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
    share = {solver: np.zeros((len(ranks), len(sampling))) for solver in SOLVERS}
    for a, k in enumerate(ranks):
        for b, times in enumerate(sampling):
            for trial in range(trials):
                rng = np.random.default_rng([k, b, trial])
                wanted = times * k * (2 * size - k)
                entries = -(size**2) * np.log1p(-min(wanted / size**2, 0.99))  # drawn with repetition
                instance = planted(size, size, k, entries, rng)
                for solver in SOLVERS:
                    share[solver][a, b] += recovered(solver, k, *instance) / trials
    print(f"share of {trials} matrices {size} x {size} recovered, by oversampling")
    print(f"{'':14}" + "".join(f"{times:8.1f}" for times in sampling))
    for solver in SOLVERS:
        for a, k in enumerate(ranks):
            print(f"{solver:9} k={k:2} " + "".join(f"{v:8.2f}" for v in share[solver][a]))
    exact = share["cholesky"] > 0.5
    kept = {
        solver: share[solver][exact].mean() / share["cholesky"][exact].mean() for solver in ("cg", "sketch")
    }
    print(
        "claim: inexact solvers recover where the exact one does. Seen: "
        + ", ".join(f"{s} {v:.0%}" for s, v in kept.items())
    )
    return share


def costs(largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of an iteration against |O| k over two decades."""
    k, work, seconds = 10, [], []
    for entries in largest // np.array([100, 30, 10, 3, 1]):
        n = int(entries) // 50
        X, _, _ = planted(n, n, k, entries, np.random.default_rng(0))
        model = MatrixCompletion(
            k, solver="cg", fit_bias=False, init="random", tol=0, max_iter=6, random_state=0
        ).fit(X)
        work.append(X.nnz * k)
        seconds.append(np.median(model.history_["seconds"][1:]))
    slope = np.polyfit(np.log(work), np.log(seconds), 1)[0]
    print("\n|O| k          seconds per iteration")
    for x, y in zip(work, seconds, strict=True):
        print(f"{x:12,d} {y:12.4f}")
    print(f"claim: linear in |O| k. Seen: slope {slope:.2f}")
    return np.array(work), np.array(seconds)


def table(folder: str | None, rows: int) -> np.ndarray:
    """Connections: log(1 + x) of distinct rows; or a table made of three hidden numbers per row."""
    rng = np.random.default_rng(0)
    if folder:
        with np.load(Path(folder) / "kddcup99-10pct.npz") as file:
            name = next(name for name in file.files if file[name].ndim == 2)
            X = np.unique(np.log1p(np.maximum(file[name].astype(np.float64), 0)), axis=0)
        X = X[rng.permutation(len(X))[:rows]]
    else:
        hidden = rng.standard_normal((rows, 3))
        X = hidden @ rng.standard_normal((3, 20)) + 0.3 * rng.standard_normal((rows, 20))
    kept: np.ndarray = X[:, X.std(axis=0) > 0]
    return kept


def purchases(folder: str | None) -> Any:
    """Customers by items: log(1 + quantity) of what was bought; or planted factors seen at few places."""
    if folder:
        with np.load(Path(folder) / "retail-events.npz") as file:
            place = file["customer"], file["item"]
            X = sp.csr_array(sp.coo_array((file["quantity"].astype(np.float64), place)))
        X.data = np.log1p(X.data)
        return X
    X, U, V = planted(600, 300, 2, 9000, np.random.default_rng(0))
    X.data += 2 + U[np.repeat(np.arange(600), np.diff(X.indptr)), 0] + V[X.indices, 1]
    return sp.csr_array(X)


def quantities(X: Any) -> None:
    """Errors of a tenth of the entries that is held out, by rank, beside means."""
    rng = np.random.default_rng(0)
    entries = sp.coo_array(X)
    hidden = rng.random(entries.nnz) < 0.1
    i, j = entries.coords
    kept, held_out = (
        sp.csr_array(sp.coo_array((entries.data[chosen], (i[chosen], j[chosen])), shape=X.shape))
        for chosen in (~hidden, hidden)
    )
    truth, known = entries.data[hidden], kept.data
    print(f"\n{X.shape[0]} customers, {X.shape[1]} items, {kept.nnz} quantities, {len(truth)} held out")
    print(f"{'':26} RMSE  seconds")
    counts = np.bincount(kept.indices, minlength=X.shape[1])
    means = np.bincount(kept.indices, known, X.shape[1]) / np.maximum(counts, 1)
    means[counts == 0] = known.mean()
    print(f"{'the mean of all':24} {np.sqrt(np.mean((truth - known.mean()) ** 2)):6.3f}")
    print(f"{'the mean of the item':24} {np.sqrt(np.mean((truth - means[j[hidden]]) ** 2)):6.3f}")
    for k in (1, 5, 20):
        start = time.perf_counter()
        model = MatrixCompletion(k, max_iter=30, random_state=0).fit(kept, validation=held_out)
        seconds = time.perf_counter() - start
        print(f"{f'MatrixCompletion, rank {k}':24} {model.validation_scores_[-1]:6.3f} {seconds:8.2f}")
    print("All of the model's have biases of customers and items.")


def imputers(X: np.ndarray, slow: int) -> None:
    """Errors in units of columns' deviations where a fifth is knocked out."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    rng = np.random.default_rng(1)
    hidden = rng.random(X.shape) < 0.2
    holes = np.where(hidden, np.nan, X)
    spread = X.std(axis=0)
    print(f"\n{len(X)} rows, {X.shape[1]} columns, {hidden.sum()} of {X.size} values knocked out")
    print(f"{'':26} RMSE  seconds")
    methods: list[tuple[str, Any, int]] = [
        ("column means", SimpleImputer(), len(X)),
        ("LowRankImputer, rank 5", LowRankImputer(5, random_state=0), len(X)),
        ("LowRankImputer, rank 10", LowRankImputer(10, random_state=0), len(X)),
        ("IterativeImputer", IterativeImputer(max_iter=5, random_state=0), min(len(X), 4 * slow)),
        ("KNNImputer", KNNImputer(), min(len(X), slow)),
    ]
    for name, imputer, count in methods:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the iterative one's, that it has not converged
            filled = imputer.fit_transform(holes[:count])
        errors = ((filled - X[:count]) / spread)[hidden[:count]]
        told = "" if count == len(X) else f"  (of {count} rows)"
        print(f"{name:24} {np.sqrt((errors**2).mean()):6.3f} {time.perf_counter() - start:8.2f}{told}")
    print("Neighbors are nearer than a low rank where rows have near duplicates, at the cost of all pairs.")


def plot(path: str, share: dict[str, np.ndarray], work: np.ndarray, seconds: np.ndarray) -> None:
    """Phase diagrams of the solvers, and the cost."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(share) + 1, figsize=(13, 3.2), layout="constrained")
    for ax, (solver, values) in zip(axes, share.items(), strict=False):
        image = ax.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto", origin="lower")
        ax.set(title=solver, xlabel="|O| / k(n + d - k)", ylabel="rank")
        ax.set_xticks(range(6), ["1", "1.5", "2", "2.5", "3", "4"])
        ax.set_yticks(range(3), ["2", "4", "8"])
    figure.colorbar(image, ax=axes[-2], label="recovered")
    axes[-1].loglog(work, seconds, "o-", label="measured")
    axes[-1].loglog(work, seconds[-1] * work / work[-1], "--", color="gray", label="slope 1")
    axes[-1].set(title="an iteration", xlabel="|O| k", ylabel="seconds")
    axes[-1].legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the first two parts")
    parser.add_argument("--size", type=int, default=150, help="rows of the matrices of the phase diagram")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--entries", type=int, default=3_000_000, help="of the largest matrix that is timed")
    parser.add_argument("--rows", type=int, default=50_000, help="of the table, at most")
    parser.add_argument("--slow", type=int, default=2_000, help="rows for imputers that compare all pairs")
    options = parser.parse_args()
    share = phases(options.size, options.trials)
    work, seconds = costs(options.entries)
    quantities(purchases(os.environ.get("LATOM_DATA")))
    imputers(table(os.environ.get("LATOM_DATA"), options.rows), options.slow)
    if options.plot:
        plot(options.plot, share, work, seconds)


if __name__ == "__main__":
    main()
