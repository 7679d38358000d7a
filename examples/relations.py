"""Communities of items that are bought together, and how they go together month by month.

    LATOM_DATA=/folder/with/data python examples/relations.py [--plot relations.png]

Non-negative RESCAL (Krompass et al. 2013) as in latent dimensionality of relational data: slice t holds how
many customers bought items i and j in month t, X_t is about A R_t A^T, columns of A are communities of items,
and R_t says how communities meet in that month. The number of communities is the largest whose columns of A
come back in all fits of perturbed slices; what is shown is the median of these A, with R_t fitted to it.
Claim: stable communities that an eye can name. Without data, slices with four planted communities.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from latom import RESCAL, select_n_components


def made_up() -> tuple[list[sp.csr_array], list[str], list[str]]:
    """Twelve slices of 120 items in four groups that have their seasons."""
    rng = np.random.default_rng(0)
    group = np.arange(120) % 4
    A = np.eye(4)[group] * rng.uniform(0.5, 1, (120, 1))
    season = 1 + np.cos(2 * np.pi * (np.arange(12)[:, None] - 3 * np.arange(4)) / 12)
    slices = [sp.csr_array(np.round(6 * A @ np.diag(s) @ A.T + 0.3 * rng.random((120, 120)))) for s in season]
    return (
        slices,
        [f"{('red', 'green', 'blue', 'gray')[g]} {i}" for i, g in enumerate(group)],
        list("JFMAMJJASOND"),
    )


def retail(folder: Path, items: int = 400) -> tuple[list[sp.csr_array], list[str], list[str]]:
    """Counts of customers who bought both of two items in a month, logarithms of 1 + count."""
    file = np.load(folder / "retail-events.npz", allow_pickle=False)
    customer, item = file["customer"], file["item"]
    when = file["time"] if "time" in file.files else file[next(n for n in file.files if "time" in n)]
    names = file[next(n for n in file.files if "name" in n)]
    month = when.astype("datetime64[s]").astype("datetime64[M]")
    months = np.unique(month)[-12:] if len(np.unique(month)) > 12 else np.unique(month)
    kept = np.sort(np.argsort(-np.bincount(item))[:items])
    place = np.full(item.max() + 1, -1)
    place[kept] = np.arange(items)
    slices = []
    for at in months:
        chosen = (month == at) & (place[item] >= 0)
        ones = np.ones(int(chosen.sum()), np.float32)
        B = sp.csr_array(
            sp.coo_array((ones, (customer[chosen], place[item[chosen]])), (customer.max() + 1, items))
        )
        B.data[:] = 1
        X = sp.csr_array(B.T @ B)
        X.setdiag(0)
        X.eliminate_zeros()
        X.data = np.log1p(np.maximum(X.data - 1, 0))
        X.eliminate_zeros()
        slices.append(sp.csr_array(X))
    return slices, [str(names[i]).title() for i in kept], [str(at) for at in months]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, nargs="+", default=[2, 3, 4, 5, 6])
    parser.add_argument("--replicates", type=int, default=6)
    parser.add_argument("--plot", type=Path, metavar="FILE")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    folder = os.environ.get("LATOM_DATA")
    slices, names, months = retail(Path(folder)) if folder else made_up()
    print(f"{len(slices)} slices of {len(names)} items, {sum(X.nnz for X in slices)} entries")
    begin = time.perf_counter()
    found = select_n_components(
        slices,
        given.candidates,
        estimator=RESCAL(2, n_init=3, max_iter=120),
        n_replicates=given.replicates,
        random_state=0,
    )
    seconds = (time.perf_counter() - begin) / (3 * given.replicates * len(found.candidates))
    for k, low, error in zip(found.candidates, found.stability, found.error, strict=True):
        print(f"{k} communities: lowest silhouette {low:5.2f}, error with the medians {error:.3f}")
    print(f"{seconds:.2f} s a start")
    k = found.n_components
    model = RESCAL(k).fit(slices, A=found.components_.T, update_A=False)  # relations for the median A
    stable = found.stability[list(found.candidates).index(k)] >= 0.9
    why = "the largest number that comes back" if stable else "the most stable, as none reaches 0.9"
    print(f"\n{k} communities, {why}:")
    share = np.stack([np.diag(R) for R in model.R_])
    for c in np.argsort(-share.sum(axis=0)):
        top = np.argsort(-model.A_[:, c])[:4]
        print(f"  {months[int(share[:, c].argmax())]}: " + "; ".join(names[i] for i in top))
    print("claim: communities that an eye can name; each line has its strongest month and items")
    if given.plot:
        draw(model, share, names, months, given.plot)


def draw(model: RESCAL, share: np.ndarray, names: list[str], months: list[str], path: Path) -> None:
    """How strong each community is by month."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(8, 4))
    for c in np.argsort(-share.sum(axis=0)):
        ax.plot(months, share[:, c] / share[:, c].max(), "o-", label=names[int(model.A_[:, c].argmax())][:32])
    ax.set_ylabel("strength, of its highest")
    ax.tick_params(axis="x", rotation=45)
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=150, bbox_inches="tight")


if __name__ == "__main__":
    main()
