"""Clicks are relevance times exposure: which factorization finds relevance?

    LATOM_DATA=/folder/with/data python examples/unbiased_relevance.py
    python examples/unbiased_relevance.py --plot relevance.png         # on purchases made up here

Simulates clicks whose relevance and exposure are known, by the recipe of Saito et al., "Unbiased recommender
learning from missing-not-at-random implicit feedback" (2020), from purchases: a factorization of amounts
gives each pair a relevance, one of which pairs met an exposure; a click needs both. --power sharpens
exposure. Methods see clicks, and some the true exposure; each is measured by the true relevance of what it
would recommend: DCG@5 over all items, and over the rarer half. Exposure guessed from popularity is no help
over all items here: what is clicked often is also what is relevant.

Their claim: Rel-MF, which weighs clicks by inverse exposure, is ahead of unweighted factorization, above all
for rare items. That of Yu & Qin (2020): NBPO, which expects noise among what was not clicked, is ahead of the
plain logistic loss (BPO).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from latom import NMF, IPSFactorization, PointwiseFactorization, topk

K = 5


def purchases(path: Path, customers: int, items: int) -> sp.csr_array:
    """Amounts of the most active customers and the best-selling items."""
    with np.load(path) as file:
        pairs = (file["customer"], file["item"])
        X = sp.csr_array(sp.coo_array((file["quantity"].astype(np.float64), pairs)).tocsr())
    best = np.sort(np.argsort(-np.diff(X.tocsc().indptr), kind="stable")[:items])
    X = sp.csr_array(X[:, best])
    active = np.sort(np.argsort(-np.diff(X.indptr), kind="stable")[:customers])
    return sp.csr_array(X[active])


def made_up(customers: int, items: int) -> sp.csr_array:
    """Customers with tastes, who buy more of what they like."""
    rng = np.random.default_rng(0)
    taste, kind = rng.dirichlet(np.full(6, 0.3), customers), rng.dirichlet(np.full(6, 0.3), items)
    liking = taste @ kind.T
    met = rng.random((customers, items)) < 0.25 * (np.arange(1, items + 1) / items) ** 2 + 0.2 * liking
    return sp.csr_array(met * (1.0 + rng.poisson(20 * liking)))


def simulate(X: sp.csr_array, power: float) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """(clicks, relevance, exposure), the latter two [customers, items]."""
    ratings = np.full(X.shape, np.nan)
    ranks = np.argsort(np.argsort(X.data, kind="stable"), kind="stable")
    rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    ratings[rows, X.indices] = 1 + np.floor(5 * ranks / X.nnz)  # a fifth of the pairs each
    amounts = NMF(20, alpha_W=0.002, max_iter=60, tol=0, init="random", random_state=0)
    predicted = amounts.fit_transform(ratings) @ amounts.components_
    relevance = 1 / (1 + np.exp(5 - np.clip(predicted, 1, 5)))
    met = IPSFactorization(20, propensity=None, link="logistic", max_iter=60, tol=0, random_state=0).fit(X)
    exposure = (1 / (1 + np.exp(-(met.user_factors.astype(np.float64) @ met.item_factors.T)))) ** power
    rng = np.random.default_rng(1)
    clicks = (rng.random(X.shape) < relevance) & (rng.random(X.shape) < exposure)
    return sp.csr_array(clicks.astype(np.float32)), relevance, exposure


def gain(model: IPSFactorization | PointwiseFactorization, relevance: np.ndarray, items: np.ndarray) -> float:
    """Mean DCG@5 of true relevance when the best of some items are recommended, over the best there is."""
    _, best = topk(model.user_factors, np.ascontiguousarray(model.item_factors[items]), K)
    true = relevance[:, items]
    discount = 1 / np.log2(np.arange(2, K + 2))
    found = (np.take_along_axis(true, best.astype(np.int64), axis=1) * discount).sum(axis=1)
    return float(found.mean() / (-np.sort(-true, axis=1)[:, :K] * discount).sum(axis=1).mean())


def methods(
    clicks: sp.csr_array, exposure: np.ndarray, epochs: int
) -> dict[str, Callable[[], IPSFactorization | PointwiseFactorization]]:
    logistic = {"link": "logistic", "max_iter": epochs, "tol": 0, "random_state": 0, "regularization": 0.02}
    pairs = {"max_iter": epochs, "random_state": 0, "regularization": 0.05}
    return {
        "unweighted, logistic": lambda: IPSFactorization(10, propensity=None, **logistic).fit(clicks),
        "Rel-MF, popularity": lambda: IPSFactorization(10, **logistic).fit(clicks),
        "Rel-MF, true exposure": lambda: IPSFactorization(10, propensity=exposure, **logistic).fit(clicks),
        "unweighted, identity": lambda: IPSFactorization(10, propensity=None, random_state=0).fit(clicks),
        "Rel-MF, identity": lambda: IPSFactorization(10, propensity=exposure, random_state=0).fit(clicks),
        "BPO": lambda: PointwiseFactorization(10, loss="bpo", **pairs).fit(clicks),
        "NBPO": lambda: PointwiseFactorization(10, loss="nbpo", **pairs).fit(clicks),
    }


def plot(path: str, powers: list[float], shares: dict[str, list[tuple[float, float]]]) -> None:
    """What each method reaches against how uneven exposure is."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharex=True, layout="constrained")
    for column, (ax, items) in enumerate(zip(axes, ("all items", "the rarer half"), strict=True)):
        for name, values in shares.items():
            dashed = "--" if name.startswith("unweighted") or name == "BPO" else "-"
            ax.plot(powers, [value[column] for value in values], dashed, marker="o", label=name)
        ax.set(title=items, xlabel="power of exposure", ylabel=f"share of the best DCG@{K}", xticks=powers)
    axes[-1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--power", type=float, nargs="+", default=[0.5, 1, 2], help="of exposure")
    parser.add_argument("--customers", type=int, default=1500)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--plot", metavar="FILE", help="draw the shares against the powers")
    arguments = parser.parse_args()
    path = Path(os.environ.get("LATOM_DATA", ""), "retail-events.npz")
    if path.is_file():
        X = purchases(path, arguments.customers, arguments.items)
    else:
        X = made_up(arguments.customers, arguments.items)
    print(f"{X.shape[0]:,} customers, {X.shape[1]:,} items. Share of the best possible DCG@{K} of relevance")
    shares: dict[str, list[tuple[float, float]]] = {}
    for power in arguments.power:
        clicks, relevance, exposure = simulate(X, power)
        counts = np.asarray(clicks.sum(axis=0)).ravel()
        order = np.argsort(counts, kind="stable")
        rare, every = np.sort(order[: len(order) // 2]), np.arange(len(order))
        print(f"\npower {power:g}: {clicks.nnz:,} clicks{'':7s}all items   rare items")
        found = {}
        for name, fit in methods(clicks, exposure, arguments.epochs).items():
            model = fit()
            found[name] = gain(model, relevance, every), gain(model, relevance, rare)
            shares.setdefault(name, []).append(found[name])
            print(f"  {name:24s}{found[name][0]:12.3f}{found[name][1]:13.3f}", flush=True)
        for better, worse in (("Rel-MF, true exposure", "unweighted, logistic"), ("NBPO", "BPO")):
            seen = ["yes" if a > b else "no" for a, b in zip(found[better], found[worse], strict=True)]
            print(f"  claim: {better} ahead of {worse}: all items {seen[0]}, rare items {seen[1]}")
    if arguments.plot:
        plot(arguments.plot, arguments.power, shares)


if __name__ == "__main__":
    main()
