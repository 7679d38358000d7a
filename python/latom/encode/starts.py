"""Where training of autoencoders starts: the bias before the encoder, and the first latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def geometric_median(X: Array, start: Array, steps: int = 30, tol: float = 1e-6) -> Array:
    """The point of least summed distance to the rows of X, by Weiszfeld's iteration from a start; float64."""
    center = np.asarray(start, np.float64)
    for _ in range(steps):
        off = X - center
        distance = np.sqrt(np.einsum("ij,ij->i", off, off))
        weight = 1 / np.maximum(distance, 1e-12 + 1e-9 * distance.max(initial=0.0))
        moved = (weight[:, None] * off).sum(axis=0) / weight.sum()
        center = center + moved
        if np.linalg.norm(moved) <= tol * max(float(distance.mean()), 1e-300):
            break
    return center


def directions(rng: np.random.Generator, m: int, d: int) -> Array:
    """Latents (m, d) of length 1, drawn evenly: rows of X are too alike, and k of them overshoot."""
    drawn = rng.standard_normal((m, d))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn
