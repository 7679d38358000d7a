"""Latent label shift: exact on exact tables with anchors, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone

import latom
from latom import _core
from latom.factorize.latent_label_shift import anchor_start


def problem(seed, k=5, domains=12, each=400):
    """Rows whose p(domain | x) is exactly that of their class, and what the fit should find."""
    rng = np.random.default_rng(seed)
    prior = rng.dirichlet(np.full(k, 0.5), domains)
    y = np.concatenate([rng.choice(k, each, p=row) for row in prior])
    domain = np.repeat(np.arange(domains), each)
    prior = np.array([np.bincount(y[domain == d], minlength=k) / each for d in range(domains)])
    return (prior / prior.sum(axis=0)).T[y], domain, y, prior


def matched(found, y, k):
    table = np.zeros((k, k))
    np.add.at(table, (found, y), 1)
    return linear_sum_assignment(-table)[1], table


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("init", ["anchors", "both"])
def test_anchors_identify_classes_and_their_shares(init, seed):
    P, domain, y, prior = problem(seed)
    model = latom.LatentLabelShift(5, 5, init=init, n_init=3, random_state=0).fit(P, domain)
    place, table = matched(model.labels_, y, 5)
    assert table[np.arange(5), place].sum() == len(y)
    assert np.abs(model.class_prior_ - prior[:, place]).sum() < 1e-8
    assert np.allclose(model.cell_given_class_.sum(axis=0), 1)
    assert np.allclose(np.sort(model.cell_given_class_.max(axis=0)), 1)
    assert (model.predict(P, domain) == model.labels_).all()
    assert (model.predict(P) == model.labels_).all()
    assert np.allclose(model.predict_proba(P, domain).sum(axis=1), 1)


def test_random_starts_come_near_and_repeat():
    P, domain, y, _ = problem(1)
    model = latom.LatentLabelShift(5, 5, init="random", random_state=3).fit(P, domain)
    place, table = matched(model.labels_, y, 5)
    assert table[np.arange(5), place].sum() > 0.9 * len(y)
    assert len(model.losses_) == 20
    again = clone(model).set_params(n_threads=1).fit(P, domain)
    assert (again.class_prior_ == model.class_prior_).all()


def test_the_same_bits_for_threads_and_variants():
    P, domain, _, _ = problem(1, each=60)
    found, before = set(), _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 5):
                model = latom.LatentLabelShift(5, 8, init="both", random_state=3, n_threads=threads)
                found.add(model.fit(P, domain).class_prior_.tobytes())
    finally:
        _core.set_isa(before)
    assert len(found) == 1


def test_starts_that_fall_behind_are_dropped(rng):
    table = rng.poisson(500 * rng.dirichlet(np.full(30, 0.3), 6).T @ rng.dirichlet(np.full(6, 0.5), 12).T)
    table = table / table.sum(axis=0)
    model = latom.LatentLabelShift(6, n_init=20, init="random", nmf_max_iter=500)
    W, H = model._factors(table, 3)
    options = {"random_state": 3, "tol": model.nmf_tol}
    first = latom.nmf_batch(np.ascontiguousarray(table.T), 6, 20, max_iter=10, **options).loss
    kept = np.sort(np.argsort(first, kind="stable")[:4])
    assert (np.flatnonzero(model.losses_ != first) == kept).all()
    assert (model.losses_[kept] < first[kept]).all()
    assert model.losses_.argmin() in kept
    assert np.isclose(((table.T - W @ H) ** 2).sum() / 2, model.losses_.min())
    whole = latom.nmf_batch(np.ascontiguousarray(table.T), 6, 20, max_iter=500, **options).loss.min()
    assert model.losses_.min() < 1.01 * whole
    both = latom.LatentLabelShift(6, n_init=20, nmf_max_iter=500)
    both._factors(table, 3)
    assert len(both.losses_) == 21
    assert np.isin(both.losses_[1:], np.concatenate((first, model.losses_))).sum() >= 16
    assert both.losses_.min() < 1.01 * whole


@pytest.mark.parametrize("seed", range(6))
def test_what_is_nearly_exact_is_found_without_being_asked_for(seed):
    """Random starts alone stop at errors of a hundredth."""
    P, domain, y, prior = problem(seed)
    P = P * np.random.default_rng(seed).uniform(1 - 1e-6, 1 + 1e-6, P.shape)
    model = latom.LatentLabelShift(5, 5, random_state=seed).fit(P, domain)
    place, table = matched(model.labels_, y, 5)
    assert table[np.arange(5), place].sum() == len(y)
    assert np.abs(model.class_prior_ - prior[:, place]).sum() < 1e-8
    assert (model.losses_ >= 0).all()
    assert len(model.losses_) == 21


def test_names_of_domains_and_sums_of_rows_do_not_matter():
    P, domain, _, _ = problem(2)
    names = np.array([f"d{d:02}" for d in range(12)])[domain]
    options = {"init": "anchors", "random_state": 0}
    one = latom.LatentLabelShift(5, 5, **options).fit(P, domain)
    other = latom.LatentLabelShift(5, 5, **options).fit(P * 3, names)
    assert (one.labels_ == other.labels_).all()
    assert other.domains_[3] == "d03"
    with pytest.raises(ValueError, match="domains must be among those of the fit; got 'd99'"):
        other.predict(P, np.full(len(P), "d99"))


def test_anchors_are_the_corners(rng):
    corners = rng.dirichlet(np.ones(9), 4).T
    inside = corners @ rng.dirichlet(np.ones(4), 20).T
    X = np.concatenate([corners * [1, 5, 0.2, 3], inside], axis=1)
    W, H = anchor_start(X, 4)
    assert np.allclose(np.sort(W, axis=1), np.sort(corners, axis=1))
    assert np.allclose(W @ H, X, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_classes": 13}, "n_classes must be at most the number of domains, 12; got 13"),
        ({"n_classes": 0}, "n_classes must be a positive integer"),
        ({"n_cells": 3}, "n_cells must be an integer in"),
        ({"n_init": 0}, "n_init must be"),
        ({"init": "random one"}, "init must be 'both', 'random' or 'anchors'"),
        (
            {"n_cells": 9, "cluster": latom.KMeans(9)},
            "n_cells must be 'auto' when cluster is given; got 9. Give",
        ),
        ({"nmf_tol": -1}, "tol must be"),
        ({"cluster": 3}, "cluster must have fit and predict"),
    ],
)
def test_refusals(arguments, words):
    P, domain, _, _ = problem(0, each=20)
    with pytest.raises(ValueError, match=r"LatentLabelShift\.fit: ") as error:
        latom.LatentLabelShift(**{"n_classes": 5, **arguments}).fit(P, domain)
    assert words in str(error.value)


def test_refusals_of_data():
    P, domain, _, _ = problem(0, each=20)
    model = latom.LatentLabelShift(5, random_state=0)
    with pytest.raises(ValueError, match="domains must have shape"):
        model.fit(P, domain[:-1])
    with pytest.raises(ValueError, match="domains must name as many as X has columns, 12; got 11"):
        model.fit(P, np.minimum(domain, 10))
    with pytest.raises(ValueError, match="must hold probabilities"):
        model.fit(-P, domain)
    with pytest.raises(ValueError, match="must hold probabilities"):
        model.fit(P * np.nan, domain)


def test_a_class_that_no_domain_has_gets_the_shares_of_all_rows(monkeypatch):
    P, domain, _, _ = problem(0, k=3, domains=4, each=30)
    found = latom.LatentLabelShift._factors

    def emptied(self, table, seed):
        W, H = found(self, table, seed)
        H[1] = 0
        return W, H

    monkeypatch.setattr(latom.LatentLabelShift, "_factors", emptied)
    model = latom.LatentLabelShift(3, 3, n_init=2, random_state=0).fit(P, domain)
    shares = np.unique(np.unique(P, axis=0, return_inverse=True)[1], return_counts=True)[1] / len(P)
    assert np.allclose(np.sort(model.cell_given_class_[:, 1]), np.sort(shares))
    assert np.allclose(model.cell_given_class_.sum(axis=0), 1)
    assert (model.class_prior_[:, 1] == 0).all()
    assert (model.predict(P, domain) != 1).all()
