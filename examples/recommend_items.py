"""Recommendations from purchases: the last new item of each customer is held out and has to be found.

    LATOM_DATA=/folder/with/data python examples/recommend_items.py
    python examples/recommend_items.py --plot found.png               # on purchases made up here

Compares what sells most, items bought by the same customers (item-kNN), and factorizations of the pairs that
met: alternating least squares (ALS), of which Rendle et al. ("Revisiting the performance of iALS on item
recommendation benchmarks", 2022) claim that it is a strong baseline once a few weights are tuned; BPR, which
ranks pairs (Rendle et al. 2009); and NBPO, which takes into account that an item that was not bought may be
liked all the same (Yu & Qin, "Sampler design for implicit feedback data by noisy-label robust learning",
2020). Their claim: NBPO ahead of BPR. What the best of them recommends is printed by name.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from latom import AlternatingLeastSquares, PointwiseFactorization
from latom.metrics import ndcg, recall

N = 20


@dataclass
class Purchases:
    """Pairs of customers and items in the order of their first purchase."""

    customer: np.ndarray
    item: np.ndarray
    names: np.ndarray


def read(path: Path) -> Purchases:
    """The first purchase of each item by each customer."""
    with np.load(path) as file:
        customer, item = file["customer"].astype(np.int64), file["item"].astype(np.int64)
        order = np.lexsort((file["time"], customer))
        names = file["item_names"]
    return first_purchases(customer[order], item[order], names)


def first_purchases(customer: np.ndarray, item: np.ndarray, names: np.ndarray) -> Purchases:
    _, first = np.unique(customer * len(names) + item, return_index=True)
    first.sort()
    return Purchases(customer[first], item[first], names)


def made_up(customers: int = 600, kinds: int = 12, of_each: int = 30) -> Purchases:
    """Customers with two tastes each; some items of a kind sell more than others."""
    rng = np.random.default_rng(0)
    tastes = rng.integers(0, kinds, (customers, 2))
    customer = np.repeat(np.arange(customers), 15)
    kind = tastes[customer, rng.integers(0, 2, len(customer))]
    within = np.minimum(rng.geometric(0.08, len(customer)) - 1, of_each - 1)
    names = np.array([f"kind {kind + 1} no. {n + 1}" for kind in range(kinds) for n in range(of_each)])
    return first_purchases(customer, kind * of_each + within, names)


def split(data: Purchases) -> tuple[sp.csr_array, sp.csr_array]:
    """(what is known, the last new item) of each customer; those with one item keep it."""
    n, m = int(data.customer.max()) + 1, len(data.names)
    last = np.append(data.customer[1:] != data.customer[:-1], True)
    last &= np.bincount(data.customer)[data.customer] > 1

    def pairs(chosen: np.ndarray) -> sp.csr_array:
        ones = np.ones(int(chosen.sum()), np.float32)
        return sp.csr_array((ones, (data.customer[chosen], data.item[chosen])), shape=(n, m))

    return pairs(~last), pairs(last)


def by_scores(score: Callable[[slice], np.ndarray], X: sp.csr_array) -> np.ndarray:
    """The N best items of each customer by scores of blocks of customers, without those known."""
    found = []
    for first in range(0, X.shape[0], 512):
        block = slice(first, first + 512)
        scores = np.where(X[block].toarray() > 0, -np.inf, score(block))
        found.append(np.argsort(-scores, axis=1, kind="stable")[:, :N])
    return np.vstack(found)


def popularity(X: sp.csr_array) -> np.ndarray:
    sold = X.sum(axis=0)
    return by_scores(lambda block: np.tile(sold, (X[block].shape[0], 1)), X)


def neighbors(X: sp.csr_array, k: int = 50) -> np.ndarray:
    """Items by the cosine of their customers, the k nearest of each."""
    lengths = np.sqrt(np.maximum(X.sum(axis=0), 1))
    unit = sp.csr_array(X / lengths)
    near = (unit.T @ unit).toarray()
    np.fill_diagonal(near, 0)
    bar = np.partition(near, -k, axis=1)[:, [-k]] if k < len(near) else 0
    near = sp.csr_array(np.where(near >= bar, near, 0))
    return by_scores(lambda block: (X[block] @ near.T).toarray(), X)


def factorized(X: sp.csr_array, epochs: int, **options: object) -> np.ndarray:
    model = PointwiseFactorization(50, max_iter=epochs, random_state=0, **options).fit(X)
    return model.recommend(np.arange(X.shape[0]), X, N)[0]


def least_squares(X: sp.csr_array, factors: int) -> np.ndarray:
    """By weights that were the best of nine on other held-out items."""
    model = AlternatingLeastSquares(factors, 0.01, 4.0, loss="ials", reg_exponent=1.0, random_state=0).fit(X)
    return model.recommend(np.arange(X.shape[0]), X, N)[0]


def compare(X: sp.csr_array, held_out: sp.csr_array, epochs: int, factors: int) -> dict[str, np.ndarray]:
    """Recommendations by every method, the best first, all figures printed."""
    methods: dict[str, Callable[[], np.ndarray]] = {
        "popularity": lambda: popularity(X),
        "item-kNN": lambda: neighbors(X),
        "ALS": lambda: least_squares(X, factors),
        "BPR": lambda: factorized(X, epochs, loss="bpr", n_negatives=4, regularization=0.02),
        "logistic (BPO)": lambda: factorized(X, epochs, loss="bpo", regularization=0.02),
        "NBPO": lambda: factorized(X, epochs, loss="nbpo", regularization=0.02),
    }
    print(f"{X.shape[0]:,} customers, {X.shape[1]:,} items, {X.nnz:,} pairs; {held_out.nnz:,} held out\n")
    print(f"{'':16s}Recall@{N}   NDCG@{N}   seconds")
    found, gains = {}, {}
    for name, method in methods.items():
        start = time.perf_counter()
        found[name] = method()
        seconds = time.perf_counter() - start
        hit, gain = recall(found[name], held_out, N), ndcg(found[name], held_out, N)
        print(f"{name:16s}{hit:9.3f} {gain:9.3f} {seconds:9.1f}", flush=True)
        gains[name] = gain
    print()
    best = sorted(found, key=lambda name: -gains[name])
    print(f"claim: ALS is a strong baseline. Seen: {' > '.join(best)} by NDCG@{N}")
    for other, says in (("BPR", "as its paper claims"), ("item-kNN", "of which it does not speak")):
        print(f"NBPO ahead of {other}, {says}: {'yes' if gains['NBPO'] > gains[other] else 'no'}")
    return {name: found[name] for name in best}


def plot(path: str, X: sp.csr_array, held_out: sp.csr_array, found: dict[str, np.ndarray]) -> None:
    """Recall of each method by how many customers have what was held out: four groups of one size."""
    import matplotlib.pyplot as plt

    who = np.flatnonzero(np.diff(held_out.indptr) == 1)
    item = held_out[who].indices
    bought = np.bincount(X.indices, minlength=X.shape[1])[item]
    groups = np.array_split(np.argsort(bought, kind="stable"), 4)
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, best in found.items():
        hit = (best[who] == item[:, None]).any(axis=1)
        ax.plot([hit[group].mean() for group in groups], "o-", label=name)
    ax.set_xticks(range(4), [f"{bought[group].min()} to {bought[group].max()}" for group in groups])
    ax.set(xlabel="customers who have the item that was held out", ylabel=f"Recall@{N}")
    ax.legend()
    figure.savefig(path, dpi=120)


def show(data: Purchases, X: sp.csr_array, held_out: sp.csr_array, found: np.ndarray, customers: int) -> None:
    """What some customers bought, what they would be shown, and what they took next."""
    bought = np.diff(X.indptr)
    several = np.flatnonzero((bought >= 5) & (bought <= 25) & (np.diff(held_out.indptr) == 1))
    for customer in several[:: max(1, len(several) // customers)][:customers]:
        names = data.names[X[[customer]].indices[:4]]
        taken = held_out[[customer]].indices[0]
        place = np.flatnonzero(found[customer] == taken)
        print(f"\ncustomer {customer} bought  {'; '.join(names)}; ...")
        print(f"  recommended   {'; '.join(data.names[found[customer, :5]])}")
        rank = f"recommended at rank {place[0] + 1}" if len(place) else f"not among the {N}"
        print(f"  took next     {data.names[taken]} ({rank})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--factors", type=int, default=128, help="of ALS (128)")
    parser.add_argument("--customers", type=int, default=3, help="whose recommendations are printed (3)")
    parser.add_argument("--plot", metavar="FILE", help="draw recall by how popular the items are")
    arguments = parser.parse_args()
    path = Path(os.environ.get("LATOM_DATA", ""), "retail-events.npz")
    data = read(path) if path.is_file() else made_up()
    X, held_out = split(data)
    found = compare(X, held_out, arguments.epochs, arguments.factors)
    best = next(iter(found))
    print(f"\nby {best}:")
    show(data, X, held_out, found[best], arguments.customers)
    if arguments.plot:
        plot(arguments.plot, X, held_out, found)


if __name__ == "__main__":
    main()
