"""The core's parts of a training step against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from plain_autoencoder import contrast, differences

from latom._base.backend import backend, call


def codes_of(rng, n, m, dtype, density=0.2, empty=None):
    """Codes by chance; none in the row `empty`."""
    dense = np.where(rng.random((n, m)) < density, rng.standard_normal((n, m)), 0).astype(dtype)
    if empty is not None:
        dense[empty] = 0
    csr = sp.csr_array(dense)
    return dense, (csr.indptr.astype(np.int64), csr.indices.astype(np.int32), csr.data.astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d", "m"), [(1, 1, 1), (5, 3, 7), (40, 16, 9), (33, 17, 70), (600, 31, 3)])
def test_parts_are_their_formulas(isa, dtype, n, d, m, rng):
    core, context = backend(), call("test", 2)
    Z, codes = codes_of(rng, n, m, dtype, 0.5)
    X, W = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
    b = rng.standard_normal(d).astype(dtype)
    near = 2e-5 if dtype == np.float32 else 1e-12
    R = b.astype(np.float64) + Z.astype(np.float64) @ W - X
    residual = np.empty((n, d), dtype)
    slope, squared = core.reconstruct(context, codes, X, W, b, 0.5, residual)
    rows = np.repeat(np.arange(n), np.diff(codes[0]))
    assert abs(residual - R).max() <= near * (1 + abs(R).max())
    wanted = 0.5 * np.einsum("ij,ij->i", R[rows], W[codes[1]].astype(np.float64))
    assert np.allclose(slope, wanted, rtol=near * 10, atol=near * 10 * (1 + abs(wanted).max(initial=0)))
    assert np.allclose(squared, (R**2).sum(axis=1), rtol=near * 10)
    products = core.products_at(context, codes, X, W)
    wanted = np.einsum("ij,ij->i", X[rows].astype(np.float64), W[codes[1]].astype(np.float64))
    assert np.allclose(products, wanted, rtol=near, atol=near)
    gathered = core.gather_by_latent(context, codes, X, m)
    wanted = Z.T.astype(np.float64) @ X
    assert abs(gathered - wanted).max() <= near * (1 + abs(wanted).max()) * 10


def test_slopes_are_0_where_the_code_is(rng):
    codes = (np.array([0, 2], np.int64), np.array([0, 1], np.int32), np.array([0.0, 1.0]))
    residual = np.empty((1, 3))
    slope, _ = backend().reconstruct(
        call("test"), codes, rng.standard_normal((1, 3)), np.ones((2, 3)), None, 1.0, residual
    )
    assert slope[0] == 0
    assert slope[1] != 0


@pytest.mark.parametrize("temperature", [0.2, 1.0])
@pytest.mark.parametrize("labels", [None, [0, 1, 0, 2, 1, 0, 0, 3, 2], [4] * 9, list(range(9))])
def test_contrast_has_the_slope_of_its_loss(temperature, labels, rng):
    n, m = 9, 6
    _, (indptr, indices, values) = codes_of(rng, n, m, np.float64, 0.5, empty=2)
    labels = None if labels is None else np.array(labels, np.int32)
    alike = np.eye(n, dtype=bool) if labels is None else labels[:, None] == labels

    def loss():
        return contrast(sp.csr_array((values, indices, indptr), shape=(n, m)).toarray(), temperature, alike)

    slope = np.zeros(len(values))
    got = backend().contrast(call("test", 2), (indptr, indices, values), labels, m, temperature, 2.0, slope)
    assert got == pytest.approx(loss(), rel=1e-12, abs=1e-15)
    assert np.allclose(slope, 2 * differences(loss, values), atol=1e-6)


class PlainAdam:
    """Steps of latents in numpy: those that rest are left alone where lazy, and fade by all steps since."""

    def __init__(self, weights, lazy, unit_norm):
        self.of = {name: [value.copy(), 0 * value, 0 * value] for name, value in weights.items()}
        self.lazy, self.unit_norm, self.step = lazy, unit_norm, 0
        self.last = np.zeros(len(weights["bias"]), np.int64)

    def advance(self, parts, X, rate=0.02, beta1=0.8, beta2=0.95, epsilon=1e-6):
        """One step; returns the gradient of the bias before the encoder."""
        self.step += 1
        m = len(self.last)
        slopes = [sp.csr_array((slope, codes[1], codes[0]), (len(X), m)) for codes, slope, _, _ in parts]
        moved = np.zeros(m, bool)
        by_decoder = np.zeros_like(self.of["encoder"][0])
        for codes, _, residual, scale in parts:
            moved[codes[1]] = True
            Z = sp.csr_array((codes[2], codes[1], codes[0]), (len(X), m))
            by_decoder += scale * (Z.T @ residual)
        gradient = {"encoder": sum(S.T @ X for S in slopes), "bias": sum(S.sum(axis=0) for S in slopes)}
        by_bias = gradient["bias"] @ self.of["encoder"][0]
        if "decoder" in self.of:
            gradient["decoder"] = by_decoder
        else:
            gradient["encoder"] = gradient["encoder"] + by_decoder
        unit = ("decoder" if "decoder" in self.of else "encoder") if self.unit_norm else None
        which = np.flatnonzero(moved) if self.lazy else np.arange(m)
        fades = self.step - self.last[which] if self.lazy else np.ones(m)
        for name, (value, first, second) in self.of.items():
            g, fade = gradient[name][which], fades if value.ndim == 1 else fades[:, None]
            if name == unit:
                g = g - (g * value[which]).sum(axis=1, keepdims=True) * value[which]
            first[which] = beta1**fade * first[which] + (1 - beta1) * g
            second[which] = beta2**fade * second[which] + (1 - beta2) * g**2
            root = np.sqrt(second[which] / (1 - beta2**self.step)) + epsilon
            value[which] -= rate / (1 - beta1**self.step) * first[which] / root
            if name == unit:
                value[which] /= np.linalg.norm(value[which], axis=1, keepdims=True)
        self.last[which] = self.step
        return by_bias


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_steps_of_adam_are_plain_ones(lazy, unit_norm, tied, rng):
    """Latents of several chunks, which rest for some steps; two codes, each with residuals and a scale."""
    n, d, m = 9, 5, 150
    names = ("encoder", "bias") if tied else ("encoder", "decoder", "bias")
    weights = {name: rng.standard_normal(m if name == "bias" else (m, d)) for name in names}
    for name in set(names) - {"bias"}:
        weights[name] /= np.linalg.norm(weights[name], axis=1, keepdims=True)
    plain = PlainAdam(weights, lazy, unit_norm)
    of = {name: tuple(np.array(a) for a in (value, 0 * value, 0 * value)) for name, value in weights.items()}
    last, rested = np.zeros(m, np.int64), set()
    for step in range(1, 7):
        X, parts = rng.standard_normal((n, d)), []
        for scale in (0.5, 0.2):
            _, codes = codes_of(rng, n, m, np.float64, 0.04)
            parts.append((codes, rng.standard_normal(len(codes[2])), rng.standard_normal((n, d)), scale))
        fired = np.unique(np.concatenate([codes[1] for codes, *_ in parts]))
        rested |= set((step - 1 - plain.last[fired]).tolist())
        by = backend().train_latents(
            call("test", 2), parts, X, of["encoder"], of.get("decoder"), of["bias"], last,
            0.02, 0.8, 0.95, 1e-6, step, lazy, unit_norm,
        )  # fmt: skip
        assert np.allclose(by, plain.advance(parts, X), rtol=1e-11, atol=1e-12)
        for name, wanted in plain.of.items():
            for ours, theirs in zip(of[name], wanted, strict=True):
                assert np.allclose(ours, theirs, rtol=1e-11, atol=1e-12), (name, step)
        assert (last == plain.last).all()
    assert not lazy or {0, 1, 2, 3} <= rested


@pytest.mark.parametrize("tied", [False, True])
def test_steps_on_a_batch_beyond_the_cache(tied, rng):
    """Rows are gathered in slices of columns, for groups of latents: the sums stay the plain ones."""
    n, d, m = 4200, 520, 1300  # 17.5 MB; the last slice has 8 columns
    X, residual = rng.standard_normal((n, d)), rng.standard_normal((n, d))
    _, codes = codes_of(rng, n, m, np.float64, 0.004)
    parts = [(codes, rng.standard_normal(len(codes[2])), residual, 0.5)]
    names = ("encoder",) if tied else ("encoder", "decoder")
    start = {name: rng.standard_normal((m, d)) for name in names}
    for value in start.values():
        value /= np.linalg.norm(value, axis=1, keepdims=True)
    plain = PlainAdam(start | {"bias": np.zeros(m)}, False, True)
    core, seen = backend(), set()
    for threads in (1, 2, 5):
        of = {name: (value.copy(), 0 * value, 0 * value) for name, value in start.items()}
        bias = tuple(np.zeros(m) for _ in range(3))
        by = core.train_latents(
            call("test", threads), parts, X, of["encoder"], of.get("decoder"), bias, np.zeros(m, np.int64),
            0.02, 0.8, 0.95, 1e-6, 1, False, True,
        )  # fmt: skip
        seen.add(b"".join(a.tobytes() for a in (by, *(a for name in names for a in of[name]))))
        gathered = core.gather_by_latent(call("test", threads), codes, residual, m)
        seen.add(gathered.tobytes())
    assert len(seen) == 2
    assert np.allclose(by, plain.advance(parts, X), rtol=1e-11, atol=1e-11)
    for name in names:
        for ours, theirs in zip(of[name], plain.of[name], strict=True):
            assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-12), name
    pieces = [slice(0, 100), slice(100, 400), slice(400, d)]  # of batches that are not cut
    apart = [
        core.gather_by_latent(call("test"), codes, np.ascontiguousarray(residual[:, c]), m) for c in pieces
    ]
    assert (gathered == np.concatenate(apart, axis=1)).all()


def test_labels_of_their_own_are_no_labels_and_one_label_for_all_is_no_loss(rng):
    core, context = backend(), call("test", 2)
    _, codes = codes_of(rng, 60, 20, np.float32, 0.3)
    made = []
    for labels in (None, np.arange(60, dtype=np.int32), np.zeros(60, np.int32)):
        slope = np.zeros(len(codes[2]), np.float32)
        made.append((core.contrast(context, codes, labels, 20, 0.2, 1.0, slope), slope))
    assert made[0][0] == made[1][0] > 0
    assert (made[0][1] == made[1][1]).all()
    assert made[2][0] == pytest.approx(0, abs=1e-14)
    assert abs(made[2][1]).max() < 1e-7 < abs(made[0][1]).max()


def test_bits_do_not_depend_on_threads_and_kernels(rng):
    core = backend()
    n, d, m = 300, 45, 150
    X, W = rng.standard_normal((n, d)).astype(np.float32), rng.standard_normal((m, d)).astype(np.float32)
    _, codes = codes_of(rng, n, m, np.float32, 0.1)
    labels = rng.integers(5, size=n, dtype=np.int32)
    before, seen = core.isa(), set()
    try:
        for isa in core.available_isas():
            core.set_isa(isa)
            for threads in (1, 2, 5):
                context, residual = call("test", threads), np.empty((n, d), np.float32)
                slope, squared = core.reconstruct(context, codes, X, W, None, 1.0, residual)
                parts = [(codes, slope, residual, 0.1)]
                of = [tuple(np.array(a) for a in (W, 0 * W, 0 * W)) for _ in range(2)]
                bias = tuple(np.zeros(m, np.float32) for _ in range(3))
                arguments = (np.zeros(m, np.int64), 1e-3, 0.9, 0.999, 1e-8, 1, False, True)
                by = core.train_latents(context, parts, X, of[0], of[1], bias, *arguments)
                slope = slope.copy()
                loss = core.contrast(context, codes, None, m, 0.2, 1.0, slope)
                loss += core.contrast(context, codes, labels, m, 0.2, 1.0, slope)
                made = (residual, slope, squared, by, *of[0], *of[1], *bias, np.float64(loss))
                gathered = core.gather_by_latent(context, codes, X, m)
                seen.add(b"".join(np.asarray(a).tobytes() for a in (*made, gathered)))
    finally:
        core.set_isa(before)
    assert len(seen) == 1


def test_sizes_that_could_lead_past_an_array_are_refused():
    core, context = backend(), call("test")
    X, W, out = np.ones((2, 3)), np.ones((4, 3)), np.empty((2, 3))

    def codes(indptr, indices):
        return np.array(indptr, np.int64), np.array(indices, np.int32), np.ones(len(indices))

    good = codes([0, 1, 2], [0, 3])
    with pytest.raises(ValueError, match="indices in"):
        core.reconstruct(context, codes([0, 1, 2], [0, 4]), X, W, None, 1.0, out)
    with pytest.raises(ValueError, match="codes"):
        core.reconstruct(context, codes([0, 1, 3], [0, 3]), X, W, None, 1.0, out)
    with pytest.raises(ValueError, match="X must have shape"):
        core.reconstruct(context, good, X[:, :2].copy(), W, None, 1.0, out)
    with pytest.raises(ValueError, match="residual must have shape"):
        core.reconstruct(context, good, X, W, None, 1.0, np.empty((1, 3)))
    with pytest.raises(ValueError, match="indices in"):
        core.gather_by_latent(context, good, X, 3)
    with pytest.raises(ValueError, match="slope must have shape"):
        core.contrast(context, good, None, 4, 0.2, 1.0, np.zeros(1))
    with pytest.raises(ValueError, match="labels must have shape"):
        core.contrast(context, good, np.zeros(3, np.int32), 4, 0.2, 1.0, np.zeros(2))
    of = (np.ones((4, 3)), np.zeros((4, 3)), np.zeros((4, 3)))
    short = (np.ones((3, 3)), np.zeros((3, 3)), np.zeros((3, 3)))
    part = [(good, np.zeros(2), np.zeros((2, 3)), 1.0)]
    rest = (None, np.zeros(4, np.int64), 1e-3, 0.9, 0.999, 1e-8, 1, False, False)
    with pytest.raises(ValueError, match="encoder must have shape"):
        core.train_latents(context, part, X, short, None, *rest)
    with pytest.raises(ValueError, match="residual must have shape"):
        core.train_latents(context, [(good, np.zeros(2), np.zeros((1, 3)), 1.0)], X, of, None, *rest)
