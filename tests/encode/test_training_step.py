"""Steps of training: gradients by finite differences, ten steps against torch, dead latents planted."""

from __future__ import annotations

import numpy as np
import pytest
from plain_autoencoder import best, differences, losses

from latom._base.backend import call
from latom._base.rows import Rows
from latom.encode.atoms import Atoms
from latom.encode.batch_codes import batch_codes
from latom.encode.recipe import Recipe
from latom.encode.trainer import Trainer

N, D, M, K = 12, 5, 9, 2


def made(rng, tied, bias=True, dtype=np.float64):
    rows = rng.standard_normal((M, D))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    center = 0.3 * rng.standard_normal(D) if bias else None
    trainer = Trainer.start(rows.astype(dtype), tied, center, False)
    trainer.arrays["b_enc"][:] = 0.1 * rng.standard_normal(M)
    if not tied:
        decoder = rng.standard_normal((M, D))
        trainer.arrays["decoder"][:] = decoder / np.linalg.norm(decoder, axis=1, keepdims=True)
    return trainer


def weights_of(trainer):
    names = ("encoder", "decoder", "b_enc", "b_pre")
    return {name: trainer.arrays[name].copy() for name in names if name in trainer.arrays}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation", ["relu", "identity", "abs"])
@pytest.mark.parametrize(
    "recipe",
    [
        {"multi_k_weight": 0.0},
        {"multi_k": 3},
        {"multi_k_weight": 0.0, "aux_k": 2, "dead_steps": 5},
        {"multi_k": 2, "aux_k": 2, "dead_steps": 5, "contrast_weight": 0.1},
        {"multi_k_weight": 0.0, "contrast_weight": 0.5, "labels": True},
    ],
)
def test_gradients_are_those_of_the_loss(tied, activation, recipe, rng):
    labels = rng.integers(3, size=N).astype(np.int32) if recipe.get("labels") else None
    recipe = {name: value for name, value in recipe.items() if name != "labels"}
    recipe = Recipe(activation=activation, unit_norm=False, **recipe)
    trainer, X = made(rng, tied), rng.standard_normal((N, D))
    weights = weights_of(trainer)
    p = (X - weights["b_pre"]) @ weights["encoder"].T + weights["b_enc"]
    dead = np.zeros(M, bool)
    if recipe.aux_k:
        trainer.arrays["silent"][:] = 100
        dead = ~(best(p, K, activation) != 0).any(axis=0)
        silenced = np.flatnonzero(~dead)[:4]  # some must be dead, of either sign: too short beside the others
        trainer.arrays["b_enc"] += 3
        trainer.arrays["b_enc"][silenced] = 0
        trainer.arrays["encoder"][silenced] *= 0.01
        weights = weights_of(trainer)
        p = (X - weights["b_pre"]) @ weights["encoder"].T + weights["b_enc"]
        dead = ~(best(p, K, activation) != 0).any(axis=0)
        assert dead.sum() >= recipe.aux_k
    terms, target = losses(X, weights, K, recipe, dead if recipe.aux_k else None, labels=labels)
    result = trainer.step(call("test"), X, K, recipe, labels)
    assert result.loss == pytest.approx(sum(terms.values()), rel=1e-10)

    def loss():
        of = losses(X, weights, K, recipe, dead if recipe.aux_k else None, target, labels)
        return sum(of[0].values())

    for name, value in weights.items():
        wanted = differences(loss, value)
        assert np.allclose(trainer.arrays[f"{name}_first"] / 0.1, wanted, atol=1e-6), name


@pytest.mark.parametrize(("tied", "unit_norm"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_ten_steps_are_those_of_torch(tied, unit_norm, dtype, activation, rng):
    """With labels; in float32 without the contrast, whose slopes are steep where codes are short."""
    torch = pytest.importorskip("torch")
    weight = 0.0 if dtype == np.float32 else 0.1
    recipe = Recipe(
        activation=activation,
        multi_k=2,
        unit_norm=unit_norm,
        learning_rate=1e-2,
        epsilon=1e-8,
        contrast_weight=weight,
    )
    labels = np.arange(N, dtype=np.int32) % 3
    same = torch.tensor(labels[:, None] == labels)
    trainer = made(rng, tied, dtype=dtype)
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in weights_of(trainer).items()}
    adam = torch.optim.Adam(weights.values(), lr=1e-2, eps=1e-8)
    decoder = weights["encoder" if tied else "decoder"]
    for _ in range(10):
        X = rng.standard_normal((N, D)).astype(dtype)
        trainer.step(call("test"), X, K, recipe, labels)
        x = torch.tensor(X)
        p = (x - weights["b_pre"]) @ weights["encoder"].T + weights["b_enc"]
        loss = 0
        for k, share in ((2 * K, 1 / 8), (K, 1)):
            at = (p.abs() if activation == "abs" else p.relu()).topk(k).indices
            Z = torch.zeros_like(p).scatter(1, at, (p if activation == "abs" else p.relu()).gather(1, at))
            loss = loss + share * ((weights["b_pre"] + Z @ decoder - x) ** 2).mean()
        kept = Z.detach().norm(dim=1) > 0
        unit = torch.nn.functional.normalize(Z[kept], dim=1)
        e = ((unit @ unit.T - 1) / recipe.temperature).exp()
        pulled = (e * same[kept][:, kept]).sum(1)
        loss = loss + weight * (e.sum(1) / pulled).log().sum() / N
        adam.zero_grad()
        loss.backward()
        with torch.no_grad():
            if unit_norm:
                decoder.grad -= (decoder.grad * decoder).sum(1, keepdim=True) * decoder
            adam.step()
            if unit_norm:
                decoder /= decoder.norm(dim=1, keepdim=True)
    for name, value in weights.items():
        assert abs(trainer.arrays[name] - value.detach().numpy()).max() < 1e-5, name


def test_dead_latents_learn_the_residual_and_the_living_do_not_feel_them():
    """One latent lives; the residual lies along a dead one, which must grow, and nothing else move."""
    steps = {}
    for weight in (0.0, 1.0):
        rows = np.array([[1.0, 0, 0], [0, 0.8, 0.6], [0, -1, 0]])
        trainer = Trainer.start(rows.copy(), False, np.zeros(3), False)
        trainer.arrays["silent"][:] = [0, 50, 50]
        X = np.array([[2.0, 1, 0], [3, 0.5, 0], [3, 1.5, 0]])
        recipe = Recipe(multi_k_weight=0, aux_k=1, aux_weight=weight, unit_norm=False, learning_rate=0.1)
        steps[weight] = trainer.step(call("test"), X, 1, recipe), trainer
    plain, with_aux = steps[0.0][1].arrays, steps[1.0][1].arrays
    for name in ("encoder_first", "decoder_first", "b_enc_first"):
        assert (plain[name][0] == with_aux[name][0]).all(), (
            "the residual must be a constant to those who made it"
        )
        assert (plain[name][1:] == 0).all()
    # The residual x - x' = (0, x_1, 0): descent turns the decoder of latent 1 away from its third column.
    assert with_aux["decoder_first"][1, 2] > 0
    # 0.8 * 0.8 of it is explained: what is lacking along column 1 makes the latent grow.
    assert with_aux["decoder_first"][1, 1] < 0
    e = np.array([1.0, 0.5, 1.5])
    wanted = ((e[:, None] * (np.array([0, 0.64, 0.48]) - [0, 1, 0])) ** 2).sum() / ((e - e.mean()) ** 2).sum()
    assert steps[1.0][0].aux == pytest.approx(wanted)
    assert (with_aux["decoder_first"][2] == 0).all(), "ReLU: latent 2 points the other way"


def test_the_bias_is_not_counted_twice_among_the_dead():
    """The residual is x - b - z W; with the bias added again there would be an error where there is none."""
    rows = np.array([[1.0, 0], [0, 1]])
    trainer = Trainer.start(rows.copy(), False, np.array([5.0, 7.0]), False)
    trainer.arrays["silent"][:] = [0, 50]
    X = np.array([[9.0, 8.0], [8, 9], [8.5, 8.2]])  # less the bias: latent 0 wins, latent 1 has all the rest
    result = trainer.step(call("test"), X, 1, Recipe(multi_k_weight=0, aux_k=1))
    assert result.aux == pytest.approx(0, abs=1e-25)


def test_dead_by_steps_and_by_rows(rng):
    X = np.abs(rng.standard_normal((4, 2)))
    for recipe, steps in ((Recipe(dead_steps=3), 3), (Recipe(dead_tokens=9), 3)):
        trainer = Trainer.start(np.array([[1.0, 0], [0, 1], [-1, 0]]), True, None, False)
        for step in range(1, 5):
            trainer.step(call("test"), X, 2, recipe)
            assert list(trainer.dead(recipe)) == [False, False, step >= steps]


def test_lazy_moments_fade_and_weights_wait():
    """A latent that rests keeps its weights; its moments are dense Adam's when it is active again."""
    X = [np.array([[1.0, 0.2]]), np.array([[0.1, 1.0]]), np.array([[1.0, 0.3]])]
    made = {}
    for lazy in (False, True):
        trainer = Trainer.start(np.eye(2), False, None, False)
        recipe = Recipe(multi_k_weight=0, lazy=lazy, unit_norm=False, learning_rate=1e-7)
        seen = []
        for x in X:
            trainer.step(call("test"), x, 1, recipe)
            seen.append({name: value.copy() for name, value in trainer.arrays.items()})
        made[lazy] = seen
    assert (made[True][1]["decoder"][0] == made[True][0]["decoder"][0]).all()
    assert (made[False][1]["decoder"][0] != made[False][0]["decoder"][0]).any()
    # With steps so small the gradients of the third are the same.
    for name in ("encoder_first", "decoder_first", "decoder_second", "b_enc_first", "b_enc_second"):
        assert np.allclose(made[False][2][name][0], made[True][2][name][0], rtol=1e-5), name


@pytest.mark.parametrize("k", [1, 3, 9])
def test_a_batch_keeps_its_largest(k, rng):
    X, W = rng.standard_normal((20, 4)), rng.standard_normal((9, 4))
    X[:3] *= 50  # rows that have more than 4 k of the largest
    codes, least = batch_codes(call("test"), Atoms(W, "dot"), Rows("test", X), k)
    p = np.maximum(X @ W.T, 0)
    kept = np.sort(p[p > 0])[::-1][: 20 * k]
    rows = np.repeat(np.arange(20), np.diff(codes[0]))
    assert np.allclose(np.sort(codes[2])[::-1], kept)
    assert np.allclose(p[rows, codes[1]], codes[2])
    assert least == pytest.approx(kept[-1])
