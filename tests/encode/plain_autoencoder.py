"""A step of training, stated plainly in numpy: losses of dense codes, gradients by finite differences."""

from __future__ import annotations

import numpy as np


def best(p, k, activation="relu"):
    """Dense codes with the k best entries of each row of p; ties to the lowest index."""
    key = np.abs(p) if activation == "abs" else p
    order = np.argsort(-key, axis=1, kind="stable")[:, :k]
    mask = np.zeros_like(p, dtype=bool)
    np.put_along_axis(mask, order, True, axis=1)
    if activation == "relu":
        mask &= p > 0
    return np.where(mask, p, 0.0)


def contrast(Z, temperature, alike):
    """Of dense codes: how near rows are to all, less how near to those alike (n, n), itself among them."""
    kept = np.linalg.norm(Z, axis=1) > 0
    unit = Z[kept] / np.linalg.norm(Z[kept], axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, 1.0)
    e = np.exp((cosines - 1) / temperature)
    return np.log(e.sum(axis=1) / (e * alike[np.ix_(kept, kept)]).sum(axis=1)).sum() / len(Z)


def losses(X, w, k, recipe, dead=None, target=None, labels=None):
    """All terms of the loss; target: the constant that dead latents are held against."""
    W_dec = w.get("decoder", w["encoder"])
    b_pre = w.get("b_pre", np.zeros(X.shape[1]))
    p = (X - b_pre) @ w["encoder"].T + w["b_enc"]
    Z = best(p, k, recipe.activation)
    n, d = X.shape
    R = b_pre + Z @ W_dec - X
    terms = {"main": (R**2).sum() / (n * d)}
    if recipe.multi_k_weight:
        wide = best(p, min(recipe.multi_k * k, p.shape[1]), recipe.activation)
        terms["multi"] = recipe.multi_k_weight * ((b_pre + wide @ W_dec - X) ** 2).sum() / (n * d)
    if recipe.contrast_weight:
        alike = np.eye(n, dtype=bool) if labels is None else labels[:, None] == labels
        terms["contrast"] = recipe.contrast_weight * contrast(Z, recipe.temperature, alike)
    if dead is not None and dead.any():
        target = -R if target is None else target
        way = "abs" if recipe.activation == "abs" else "relu"
        own = best(np.where(dead, p, 0.0), min(recipe.aux_k, int(dead.sum())), way)
        total = ((target - target.mean(axis=0)) ** 2).sum()
        terms["aux"] = recipe.aux_weight * ((own @ W_dec - target) ** 2).sum() / total
    return terms, -R


def differences(f, value, step=1e-6):
    """Central differences of f at an array, which is changed in place and restored."""
    out = np.empty_like(value)
    for at in np.ndindex(value.shape):
        kept = value[at]
        value[at] = kept + step
        up = f()
        value[at] = kept - step
        down = f()
        value[at] = kept
        out[at] = (up - down) / (2 * step)
    return out
