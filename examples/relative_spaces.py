"""One classifier for two spaces: relative representations of two views of the same documents.

    python examples/relative_spaces.py

Moschella et al. (2023) claim that rows described by their cosines with shared anchors are alike across
encoders, so that a classifier trained in one space works in another, where absolute coordinates score as
chance does. Here the second space is a rotation of the first with noise.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import ortho_group

from latom import RelativeRepresentation
from latom.neighbors import DenseIndex, match_anchors


def nearest_center(train, y, test):
    """Labels of test by the nearest class center of train."""
    centers = np.array([train[y == label].mean(axis=0) for label in np.unique(y)])
    return DenseIndex(centers).search(test, 1)[1][:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=4000, help="rows (4000)")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, options.n)
    A = rng.normal(size=(10, 32))[y] + rng.normal(size=(options.n, 32))
    B = 3 * A @ ortho_group.rvs(32, random_state=1) + 0.3 * rng.normal(size=(options.n, 32))
    half = options.n // 2

    print("trained in A, tested in B   accuracy  mean reciprocal rank of the same row")
    absolute = (nearest_center(A[:half], y[:half], B[half:]) == y[half:]).mean()
    print(f"absolute coordinates        {absolute:8.3f}")
    for selection in ("uniform", "kmeans++"):
        for m in (16, 64, 256):
            first = RelativeRepresentation(m, selection=selection, random_state=0).fit(A[:half])
            second = RelativeRepresentation(m).fit_anchors(B[:half], first.anchor_indices_)
            a, b = first.transform(A), second.transform(B[half:])
            right = (nearest_center(a[:half], y[:half], b) == y[half:]).mean()
            found = DenseIndex(a[half:]).search(b, 50)[1] == np.arange(options.n - half)[:, None]
            rank = np.where(found.any(axis=1), 1 / (1 + found.argmax(axis=1)), 0).mean()
            print(f"{m:4d} anchors, {selection:12} {right:8.3f}  {rank:8.3f}")
    seeds = np.arange(15)[:, None].repeat(2, axis=1)
    pairs = match_anchors(A[:half], B[:half], seeds, 200)
    right = (pairs[15:, 0] == pairs[15:, 1]).mean() if len(pairs) > 15 else 0.0
    print(f"anchors grown from 15 pairs to {len(pairs)}: {right:.3f} of the new ones are the same row")


if __name__ == "__main__":
    main()
