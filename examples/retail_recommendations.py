"""What customers of a shop may want next: alternating least squares beside popularity and item neighbors.

    LATOM_DATA=/folder/with/data python examples/retail_recommendations.py
    python examples/retail_recommendations.py                               # on purchases made up here

With LATOM_DATA it reads `retail-events.npz` (customer, item, quantity, time, item names). Of each customer
the item that was first bought last is held out; the rest is learned from. Prints the share of these items
among the 20 best of each method (Recall@20), their ranks (NDCG@20) and seconds, then recommendations by name.

Claim: with a few weights tuned, weighted matrix factorization is a strong baseline for implicit feedback
(Rendle, Krichene, Zhang & Koren, "Revisiting the performance of iALS on item recommendation benchmarks",
2022).
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

from latom import AlternatingLeastSquares, topk

N = 20
NEIGHBORS = 100


@dataclass
class Purchases:
    """Who bought what, and what each customer bought next."""

    train: sp.csr_matrix  # [customers, items]
    next_item: np.ndarray  # [customers]
    names: np.ndarray  # [items]


def read(path: Path) -> Purchases:
    """The events of a shop, the last new item of each customer held out."""
    with np.load(path) as file:
        customer, item, quantity, when = (file[name] for name in ("customer", "item", "quantity", "time"))
        names = file["item_names"]
    return split(customer, item, quantity, when, names)


def made_up(customers: int = 600, items: int = 200, groups: int = 8) -> Purchases:
    """Customers who buy from two groups of items, some items more often than others."""
    rng = np.random.default_rng(0)
    group = rng.integers(groups, size=items)
    popular = 1 / np.arange(1, items + 1) ** 0.5
    bought, who = [], []
    for customer in range(customers):
        weight = popular * (0.03 + np.isin(group, rng.choice(groups, 2, replace=False)))
        count = min(items // 4, 5 + rng.poisson(8))
        bought.append(rng.choice(items, count, replace=False, p=weight / weight.sum()))
        who.append(np.full(count, customer))
    item, customer = np.concatenate(bought), np.concatenate(who)
    names = np.array([f"item {i} of group {g}" for i, g in enumerate(group)])
    return split(customer, item, 1 + rng.poisson(2, len(item)), np.arange(len(item)), names)


def split(
    customer: np.ndarray, item: np.ndarray, quantity: np.ndarray, when: np.ndarray, names: np.ndarray
) -> Purchases:
    """log(1 + quantity) of all but the last new item of customers with at least three items."""
    n, m = int(customer.max()) + 1, int(item.max()) + 1
    order = np.argsort(when, kind="stable")
    pair = customer[order].astype(np.int64) * m + item[order]
    first, at = np.unique(pair, return_index=True)
    who = first // m
    counts = np.bincount(who, minlength=n)
    newest = np.full(n, -1)
    by_time = np.argsort(at)
    newest[who[by_time]] = first[by_time] % m  # the last assignment stays
    newest[counts < 3] = -1
    X = sp.coo_matrix((quantity.astype(np.float32), (customer, item)), shape=(n, m)).tocsr()
    X.data = np.log1p(X.data)
    held = sp.csr_matrix(
        (np.ones((newest >= 0).sum()), (np.flatnonzero(newest >= 0), newest[newest >= 0])), shape=(n, m)
    )
    train = (X - X.multiply(held)).tocsr()
    train.eliminate_zeros()
    kept = newest >= 0
    return Purchases(train[kept], newest[kept], names)


def without(scores: np.ndarray, have: sp.csr_matrix) -> np.ndarray:
    """The N best columns of each row that it does not have."""
    scores = scores.copy()
    scores[have.nonzero()] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :N]


def popularity(data: Purchases) -> np.ndarray:
    """The items that most customers have."""
    counts = np.bincount(data.train.indices, minlength=data.train.shape[1]).astype(float)
    return without(np.tile(counts, (data.train.shape[0], 1)), data.train)


def neighbors(data: Purchases) -> np.ndarray:
    """Items whose buyers are those of a customer's items: sums of the cosines of the nearest items."""
    columns = data.train.T.tocsr().astype(np.float32)
    dense = np.ascontiguousarray(columns.toarray())
    cosine, index = topk(dense, dense, min(NEIGHBORS, len(dense)), metric="cosine")
    rows = np.repeat(np.arange(len(dense)), index.shape[1])
    near = sp.csr_matrix((cosine.ravel(), (rows, index.ravel())), shape=(len(dense), len(dense)))
    return without(np.asarray((data.train @ near).todense()), data.train)


def model(factors: int) -> AlternatingLeastSquares:
    """The best of nine settings on other held-out items, of those that are learned from here."""
    return AlternatingLeastSquares(factors, 0.01, 4.0, loss="ials", reg_exponent=1.0, random_state=0)


def measures(found: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Recall and NDCG of one wanted item per row."""
    hit = found == wanted[:, None]
    rank = hit.argmax(axis=1)
    return float(hit.any(axis=1).mean()), float((hit.any(axis=1) / np.log2(rank + 2)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument(
        "--customers", type=int, default=3, help="customers whose recommendations are printed"
    )
    options = parser.parse_args()
    folder = os.environ.get("LATOM_DATA")
    data = read(Path(folder) / "retail-events.npz") if folder else made_up()
    n, m = data.train.shape
    print(f"{n} customers, {m} items, {data.train.nnz} pairs; one item held out per customer")
    als = model(options.factors)

    def by_als(given: Purchases) -> np.ndarray:
        als.fit(given.train)
        return als.recommend(np.arange(n), given.train, N=N)[0]

    methods: dict[str, Callable[[Purchases], np.ndarray]] = {
        "popularity": popularity,
        "item neighbors": neighbors,
        f"ALS, {options.factors} factors": by_als,
    }
    print(f"{'':18} Recall@{N}  NDCG@{N}  seconds")
    results = {}
    for name, method in methods.items():
        start = time.perf_counter()
        found = method(data)
        results[name] = measures(found, data.next_item)
        print(f"{name:18} {results[name][0]:9.3f} {results[name][1]:8.3f} {time.perf_counter() - start:8.2f}")
    best = max(results, key=lambda name: results[name][0])
    print(f"claim: ALS is a strong baseline. Seen: the highest recall is that of {best}.")
    rng = np.random.default_rng(1)
    for customer in rng.choice(n, options.customers, replace=False):
        have = data.train[customer]
        order = have.indices[np.argsort(-have.data, kind="stable")][:4]
        ids, _ = als.recommend(int(customer), have, N=5)
        print(f"\na customer with {', '.join(str(data.names[i]) for i in order)}")
        for i in ids:
            print(f"  {'*' if i == data.next_item[customer] else ' '} {data.names[i]}")
    print("\n* bought next")


if __name__ == "__main__":
    main()
