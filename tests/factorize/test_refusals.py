"""The NMF family: what is refused, and how; scores, routing of metadata, lines for long steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.pipeline import Pipeline

import latom
from latom.factorize import long_steps

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def matrix(rng):
    return rng.random((120, 6)) @ rng.random((6, 50)) + 0.5 * rng.random((120, 50))


@pytest.mark.parametrize(
    ("inits", "message"),
    [
        (None, "got NoneType"),
        ("many", "got str"),
        (3.0, "got float"),
        (True, "got bool"),
        ((np.ones((2, 20, 3)),), "got 1 arrays"),
        (np.ones((2, 20, 3)), "got ndarray"),
        ((np.ones((2, 20, 3)), np.ones((2, 4, 10))), r"got \(2, 20, 3\) and \(2, 4, 10\)"),
    ],
)
def test_batches_refuse_other_starts(inits, message, rng):
    with pytest.raises(ValueError, match=rf"nmf_batch: inits must be an integer or starts .*; {message}\. "):
        latom.nmf_batch(rng.random((20, 10)), 3, inits)


def test_batches_refuse_other_numbers(rng):
    X = rng.random((20, 10))
    for settings, message in (
        ({"tol": "a"}, "tol must be a finite number"),
        ({"tol": [1e-4]}, "tol must be a finite number"),
        ({"max_iter": None}, "max_iter must be a positive integer"),
        ({"random_state": "a"}, "random_state must be"),
    ):
        with pytest.raises(ValueError, match=f"nmf_batch: {message}"):
            latom.nmf_batch(X, 3, 2, **settings)
    with pytest.raises(ValueError, match="nmf_batch: n_components must be a positive integer"):
        latom.nmf_batch(X, [3], 2)
    with pytest.raises(TypeError, match="nmf_batch: X must be dense, not sparse; got csr_array"):
        latom.nmf_batch(sp.csr_array(X), 3, 2)


@pytest.mark.parametrize("cls", [latom.NMF, latom.MiniBatchNMF])
@pytest.mark.parametrize("value", [["a", "b"], np.array(["random", "nndsvd"]), np.array([1, 2]), {}])
def test_arrays_in_place_of_choices_are_refused(cls, value, rng):
    X = rng.random((20, 10))
    names = ["n_components", "init", "beta_loss", "alpha_W", "alpha_H", "tol", "max_iter"]
    for name in [*names, "solver", "shuffle"] if cls is latom.NMF else [*names, "batch_size"]:
        with pytest.raises(ValueError, match=f"{name} must be"):
            cls(**{name: value}).fit(X)
    with pytest.raises(ValueError, match="kmeans_plusplus: method must be"):
        latom.kmeans_plusplus(X, 2, method=value)


@pytest.mark.parametrize("cls", [latom.NMF, latom.MiniBatchNMF])
@pytest.mark.parametrize("loss", [1, 2])
def test_score_is_minus_the_loss(cls, loss, rng):
    X = matrix(rng)
    options = {"solver": "mu"} if cls is latom.NMF and loss == 1 else {}
    model = cls(4, beta_loss=loss, random_state=0, max_iter=50, alpha_W=1e-3, **options).fit(X)
    Y = model.transform(X) @ model.components_
    wanted = (X * np.log(X / Y) - X + Y).sum() if loss == 1 else ((X - Y) ** 2).sum() / 2
    assert model.score(X) == pytest.approx(-wanted, rel=1e-6)


def test_metadata_can_be_asked_for(rng):
    X, weights = matrix(rng), rng.random(120)
    direct = latom.NMF(3, random_state=0, max_iter=20).fit(X, sample_weight=weights)
    with config_context(enable_metadata_routing=True):
        model = latom.NMF(3, random_state=0, max_iter=20).set_fit_request(sample_weight=True)
        routed = Pipeline([("nmf", model)]).fit(X, sample_weight=weights)
        latom.NMF().set_fit_request(mask=True).set_transform_request(mask=True)
    assert np.array_equal(routed[0].components_, direct.components_)
    assert not np.array_equal(
        latom.NMF(3, random_state=0, max_iter=20).fit(X).components_, direct.components_
    )
    with pytest.raises(TypeError, match="unexpected keyword"):
        latom.MiniBatchNMF(2).fit(X, sample_weight=weights)


def test_long_starts_and_transforms_are_told_of(rng, capsys, monkeypatch):
    monkeypatch.setattr(long_steps, "PATIENCE", 0.0)
    X = matrix(rng)
    for verbose in (0, 1):
        latom.NMF(3, random_state=0, max_iter=2, verbose=verbose).fit(X).transform(X)
        latom.MiniBatchNMF(3, random_state=0, max_iter=2, verbose=verbose).fit(X).transform(X)
        latom.SemiNMF(3, init="svd", random_state=0, max_iter=2, tol=0, verbose=verbose).fit(X)
        latom.SemiNMF(3, init="kmeans", random_state=0, max_iter=2, tol=0, verbose=verbose).fit(X)
        told = capsys.readouterr().out
        for line in (
            "NMF.fit: power iteration 1 of ",
            "NMF.transform: iteration 1, objective ",
            "MiniBatchNMF.fit: power iteration 1 of ",
            "MiniBatchNMF.transform: step 1 of at most 2 ",
            "SemiNMF.fit: power iteration 1 of ",
            "SemiNMF.fit: codes of rows 0 to 119 of 120",
            "KMeans: iteration 1, objective ",
        ):
            assert (line in told) == bool(verbose), line


def test_no_other_blas_than_numpys_takes_part():
    """Threads of two BLAS libraries wait for each other's: each call then takes milliseconds."""
    for path in Path(latom.__file__).parent.rglob("*.py"):
        assert "scipy.linalg" not in path.read_text(encoding="utf-8"), path
