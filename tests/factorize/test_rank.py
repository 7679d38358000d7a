"""Replicates of the core beside scikit-learn, their alignment, the rank that is planted, and consensus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.decomposition import NMF as SklearnNMF
from sklearn.exceptions import NotFittedError
from sklearn.metrics import euclidean_distances, silhouette_samples, silhouette_score

import latom
from latom import _core
from latom._base.rows import Rows
from latom.factorize.rank import search, selection
from latom.factorize.rank.alignment import align, silhouettes, unit_rows
from latom.factorize.rank.replicates import Runs, factorize_replicates, refit
from latom.factorize.rank.search import search_replicates

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def planted(seed, k, n=200, d=150, snr=10.0, parts=0.1):
    """Sparse parts in sparse mixtures, and noise of 1 / snr of their length."""
    rng = np.random.default_rng(seed)
    X = rng.dirichlet(np.full(k, 0.3), n) @ rng.dirichlet(np.full(d, parts), k)
    noise = rng.standard_normal(X.shape)
    return np.maximum(X + noise * np.linalg.norm(X) / np.linalg.norm(noise) / snr, 0)


@pytest.mark.parametrize("k", [3, 5, 8, 12])
def test_the_planted_rank_is_found(k):
    X = planted(k, k).astype(np.float32)
    found = latom.select_n_components(X, range(k - 1, k + 3), n_replicates=10, random_state=0)
    assert found.n_components == k
    place = list(found.candidates).index(k)
    assert found.stability[place] > 0.95
    assert found.stability[place + 1] < 0.9
    assert (np.diff(found.error[: place + 1]) < 0).all()
    assert found.components_.shape == (k, 150)
    assert found.replicates[k].shape == (10, k, 150)


def dense(seed, k, n=200, d=150, snr=10.0):
    """Parts that all look alike, and noise of 1 / snr of their length."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, k)) @ rng.random((k, d))
    noise = rng.standard_normal(X.shape)
    return np.maximum(X + noise * np.linalg.norm(X) / np.linalg.norm(noise) / snr, 0).astype(np.float32)


def test_components_that_overlap_are_given_time():
    X = dense(0, 8)
    found = latom.select_n_components(X, (7, 8, 9), n_replicates=6, random_state=0)
    assert found.n_components == 8
    assert found.stability[1] > 0.95
    assert found.stability[2] < 0.5
    hasty = latom.NMF(tol=1e-4, max_iter=200)  # the default's first try, and no other
    given = latom.select_n_components(X, (7, 8, 9), n_replicates=6, estimator=hasty, random_state=0)
    assert given.stability[1] < 0.9
    assert given.losses[9].tolist() == found.losses[9].tolist()  # as noise gives: not tried longer


@pytest.mark.parametrize(("seed", "k"), [(0, 3), (0, 10), (1, 12)])
def test_dense_ranks_are_found_by_what_noise_explains(seed, k, monkeypatch):
    """Also where replicates agree on one component too many, or on none."""
    monkeypatch.setattr(selection, "FLOPS", 0)  # no search
    X = dense(1000 * k + seed, k)
    found = latom.select_n_components(X, range(k - 1, k + 2), n_replicates=4, random_state=0)
    assert found.n_components == k
    assert (found.stability[1] > 0.9) == (k == 3)
    some = (1, 2, 3) if k == 3 else (k - 1, k)  # none beyond: stability alone decides
    far = latom.select_n_components(X, some, n_replicates=4, random_state=0)
    assert far.n_components == (k if k == 3 else far.candidates[far.stability.argmax()])


def test_replicates_that_search_end_lower_and_agree(monkeypatch):
    monkeypatch.setattr(search, "KICKS", 4)
    X = dense(2, 8, 100, 80)
    rows, model = Rows("f", X), latom.NMF(tol=1e-6, max_iter=400)
    plain = factorize_replicates("f", rows, [8], range(4), 0.0, model, 0, 1)[8]
    found = search_replicates("f", rows, 8, range(4), 0.0, model, 0, 1)
    assert found.losses.mean() < plain.losses.min()
    assert align(found.H, 0).silhouettes.mean() > align(plain.H, 0).silhouettes.mean()
    for H, loss in zip(found.H, found.losses, strict=True):
        assert np.isclose(refit("f", rows, H, model, 1)[1].sum() / 2, loss, rtol=1e-4)
    scaled = search_replicates("f", Rows("f", 1024 * X), 8, range(4), 0.0, model, 0, 5)
    assert (scaled.losses == 2.0**20 * found.losses).all()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_replicates_reach_the_losses_of_scikit_learn(container, dtype):
    X = planted(0, 4, 90, 60)
    X[X < 0.004] = 0
    rows = Rows("f", container(X.astype(dtype)))
    model = latom.NMF(tol=1e-6, max_iter=3000)
    found = factorize_replicates("f", rows, [3, 4], range(4), 0.0, model, 0, None)
    for k, (H, losses, n_iter) in found.items():
        theirs = min(
            SklearnNMF(k, init="random", random_state=s, tol=1e-6, max_iter=3000).fit(X).reconstruction_err_
            for s in range(3)
        )
        assert np.isclose(losses.min(), theirs**2 / 2, rtol=1e-3)
        assert H.shape == (4, k, 60)
        assert H.dtype == dtype
        assert (n_iter > 1).all()
        W = latom.NMF(k, tol=1e-9, max_iter=3000)
        W.components_, W.n_components_, W.n_features_in_ = H[0], k, 60
        rest = X - W.transform(container(X.astype(dtype))) @ H[0]
        assert np.isclose((rest**2).sum() / 2, losses[0], rtol=1e-3)


def test_dense_and_sparse_replicates_are_the_same_problems():
    X = planted(0, 4, 90, 60)
    model = latom.NMF(tol=1e-5)
    dense, sparse = (
        factorize_replicates("f", Rows("f", Z), [4], range(5), 0.05, model, 7, None)[4]
        for Z in (X, sp.csr_array(X + (X == 0) * 1e-30))  # all entries are stored
    )
    assert np.allclose(dense[1], sparse[1], rtol=1e-6)
    assert len(set(dense[1])) == 5


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_replicate_is_the_same_alone_and_beside_others(container, noise):
    """Replicates with the same numbers advance together, and leave one by one."""
    rows = Rows("f", container(planted(0, 4, 70, 50)))
    model = latom.NMF(tol=1e-2, max_iter=60)
    together = factorize_replicates("f", rows, [1, 5, 9], range(10), noise, model, 3, 2)
    assert len(set(together[5][2])) > 3
    for k in (1, 5, 9):
        alone = factorize_replicates("f", rows, [k], [7], noise, model, 3, 1)[k]
        assert all((a[0] == b[7]).all() for a, b in zip(alone, together[k], strict=True))


def test_the_same_bits_for_threads_and_variants():
    X = sp.csr_array(np.where(planted(0, 4, 60, 50) > 0.01, planted(0, 4, 60, 50), 0))
    found, before = set(), _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 5):
                H, losses, _ = factorize_replicates(
                    "f", Rows("f", X), [3], range(4), 0.03, latom.NMF(), 0, threads
                )[3]
                found.add((H.tobytes(), losses.tobytes()))
    finally:
        _core.set_isa(before)
    assert len(found) == 1


def test_replicates_learn_from_their_party_alone():
    runs = Runs("f", Rows("f", dense(2, 8, 60, 50)), 0.0, latom.NMF(tol=1e-6, max_iter=150), 0, 1)
    found = search._Search(runs, 8, range(4))
    found.draw(0)
    before = found.losses.copy()
    found.exchange()
    for party in ([0, 2], [1, 3]):
        assert found.losses[party].max() <= before[party].min() * (1 + 1e-6)
    lower = before.argmin() % 2
    assert found.losses[1 - lower] > before.min() * (1 + 1e-5)


def test_matching_undoes_permutations(rng):
    truth = rng.dirichlet(np.full(30, 0.2), 5)
    order = [rng.permutation(5) for _ in range(9)]
    H = np.stack([truth[o] * rng.uniform(0.5, 2, (5, 1)) for o in order])
    found = align(H, 0)
    for r, o in enumerate(order):
        assert (o[found.order[r]] == order[0][found.order[0]]).all()
    assert np.allclose(found.silhouettes, 1)
    assert np.allclose(found.medians, unit_rows(truth[order[0][found.order[0]]]))


def test_silhouettes_are_scikit_learns(rng):
    rows = unit_rows(rng.random((4, 6, 20)) + 2 * rng.random((4, 1, 20)))
    labels = np.repeat(np.arange(4), 6)
    wanted = silhouette_samples(rows.reshape(24, 20), labels, metric="cosine").reshape(4, 6)
    assert np.allclose(silhouettes(rows), wanted)


def test_other_estimators_go_one_after_the_other():
    X = planted(1, 3, 60, 40)
    for estimator in (SklearnNMF(init="random"), latom.NMF(solver="mu", beta_loss=1, init="random")):
        found = latom.select_n_components(X, (2, 3), estimator=estimator, n_replicates=3, random_state=0)
        assert found.replicates[3].shape == (3, 3, 40)


def test_plot(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    kept = pyplot.get_fignums()  # by whoever ran before
    found = latom.select_n_components(planted(1, 3, 40, 30), [2, 3], n_replicates=3, random_state=0)
    figure = found.plot()
    assert pyplot.get_fignums() == kept  # pyplot would keep it
    ax = figure.axes[0]
    assert ax.get_xlabel() == "components"
    assert found.plot(ax) is figure
    assert found.plot(where=[ax]) is figure
    for path in (tmp_path / "a.png", str(tmp_path / "b.pdf")):
        assert len(found.plot(path).axes) == 2
        assert Path(path).stat().st_size > 1000
    assert pyplot.get_fignums() == kept
    for where in (3, [ax, ax]):
        with pytest.raises(
            TypeError,
            match=r"^RankSelection\.plot: where must be a path, or matplotlib axes, 1 of them; got ",
        ):
            found.plot(where)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"candidates": []}, "candidates must be a sequence of one or more integers; got []"),
        ({"candidates": 3}, "candidates must be a sequence of one or more integers; got 3"),
        (
            {"candidates": [2, 99]},
            "candidates must be integers in [1, 20]; got 99 among them. X has no more components.",
        ),
        ({"candidates": [2.5]}, "candidates must be integers in [1, 20]; got 2.5 among them. Pass"),
        ({"candidates": [2.0]}, "candidates must be integers in [1, 20]; got 2.0 among them. Pass"),
        ({"candidates": np.array([2.0, 3.0])}, "candidates must be integers in [1, 20]; got 2.0 among them"),
        ({"candidates": [True]}, "candidates must be integers in [1, 20]; got True among them. Pass"),
        ({"n_replicates": 1}, "n_replicates must be an integer of at least 2"),
        ({"noise": 2}, "noise must be a number in [0, 1]"),
        ({"threshold": -1}, "threshold must be a number in [0, 1]"),
        ({"metric": "euclidean"}, "metric must be 'cosine'"),
        ({"estimator": 3}, "estimator must be a factorization"),
        ({"X": -np.ones((30, 20))}, "X must not be negative"),
        ({"X": np.full((30, 20), np.nan)}, "NaN"),
    ],
)
def test_refusals(arguments, words):
    given = {"X": np.ones((30, 20)), "candidates": [2], **arguments}
    with pytest.raises(ValueError, match="select_n_components: ") as error:
        latom.select_n_components(**given)
    assert words in str(error.value)


# ---- consensus


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_consensus_finds_programs(container):
    rng = np.random.default_rng(0)
    programs = rng.dirichlet(np.full(80, 0.05), 4)
    usages = rng.dirichlet(np.full(4, 0.2), 150)
    X = rng.poisson(400 * usages @ programs).astype(np.float64)
    model = latom.ConsensusNMF([3, 4, 5], n_replicates=12, random_state=0).fit(container(X))
    assert model.components_.shape == (4, 80)
    assert model.silhouette_ > 0.9
    cosine = unit_rows(model.programs_) @ unit_rows(programs).T
    assert np.sort(cosine.max(axis=1))[0] > 0.95
    assert len(set(cosine.argmax(axis=1))) == 4
    shares = model.usages_ / model.usages_.sum(axis=1, keepdims=True)
    near = np.corrcoef(shares[:, 0], usages[:, cosine.argmax(axis=1)[0]])[0, 1]
    assert near > 0.95
    assert np.allclose(model.components_.sum(axis=1), 1)
    Z = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
    assert np.allclose(model.scores_, np.linalg.lstsq(shares, Z, rcond=None)[0], atol=1e-6)
    error = np.linalg.norm(X / np.where(X.std(0) > 0, X.std(0), np.inf) - model.usages_ @ model.components_)
    assert np.isclose(model.reconstruction_err_, error, rtol=1e-5)


def plain_consensus(X, spectra, k, threshold, near=0.3):
    """What cNMF does with spectra from all replicates, in numpy and scikit-learn, on the scaled X."""
    spectra = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
    neighbors = int(near * len(spectra) / k)
    distances = np.sort(euclidean_distances(spectra), axis=1)[:, 1 : neighbors + 1]  # but for the row itself
    density = distances.sum(axis=1) / neighbors
    kept = spectra[density < threshold]
    labels = SklearnKMeans(k, n_init=10, random_state=1).fit(kept).labels_
    medians = np.stack([np.median(kept[labels == c], axis=0) for c in range(k)])
    medians /= medians.sum(axis=1, keepdims=True)
    deviation = X.std(axis=0)
    prepared = np.divide(X, deviation, out=np.zeros_like(X), where=deviation > 0)
    usages = np.stack([nnls(medians.T, row)[0] for row in prepared])
    shares = usages / usages.sum(axis=1, keepdims=True)
    order = np.argsort(-shares.sum(axis=0))
    usages, shares, medians = usages[:, order], shares[:, order], medians[order]
    standardized = (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return {
        "density_": density,
        "silhouette_": silhouette_score(kept, labels),
        "components_": medians,
        "usages_": usages,
        "programs_": np.stack([nnls(shares, column)[0] for column in X.T], axis=1),
        "scores_": np.linalg.lstsq(shares, standardized, rcond=None)[0],
        "reconstruction_err_": np.linalg.norm(prepared - usages @ medians),
    }


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_consensus_is_that_of_a_plain_loop(container):
    """Of spectra that are the same; where some are outliers, which are left out."""
    rng = np.random.default_rng(2)
    X = rng.dirichlet(np.full(5, 0.2), 90) @ rng.dirichlet(np.full(60, 0.1), 5)
    X = rng.poisson(150 * X).astype(np.float64)
    model = latom.ConsensusNMF(5, n_replicates=20, random_state=0, tol=1e-7, max_iter=5000)
    model.prepare(container(X))
    parts = model.factorize()
    for k, threshold, share, noise in ((5, 0.5, 0.1, 0.0), (5, 0.05, 0.1, 0.0), (5, 2.0, 0.0, 0.2)):
        # What replicates have found, moved, with some spectra that stand for none.
        odd = {
            r: np.where(rng.random((k, 1)) < share, rng.random(H.shape), H)
            * rng.uniform(1 - noise, 1 + noise, H.shape)
            for r, H in parts[k].items()
        }
        model.combine([{k: odd}]).consensus(k, threshold)
        found = np.concatenate([odd[r] for r in sorted(odd)])
        wanted = plain_consensus(X, found, k, threshold)
        assert ((wanted["density_"] >= threshold).sum() > 0) == (share > 0)
        for name, value in wanted.items():
            assert np.allclose(getattr(model, name), value, rtol=2e-3, atol=2e-4 * np.abs(value).max()), name


def test_consensus_has_the_same_bits_for_threads_and_variants():
    X = sp.csr_array(np.where(planted(0, 4, 60, 50) > 0.01, planted(0, 4, 60, 50), 0))
    found, before = set(), _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 5):
                model = latom.ConsensusNMF(4, n_replicates=5, random_state=0, n_threads=threads).fit(X)
                found.add(b"".join(a.tobytes() for a in (model.components_, model.usages_, model.programs_)))
    finally:
        _core.set_isa(before)
    assert len(found) == 1


def test_workers_share_the_replicates():
    X = planted(1, 3, 60, 40)
    whole = latom.ConsensusNMF(3, n_replicates=7, random_state=0).prepare(X)
    whole.factorize()
    shared = latom.ConsensusNMF(3, n_replicates=7, random_state=0).prepare(X)
    parts = [
        latom.ConsensusNMF(3, n_replicates=7, random_state=0).prepare(X).factorize(w, 3) for w in range(3)
    ]
    idle = latom.ConsensusNMF(3, n_replicates=7, random_state=0).prepare(X).factorize(8, 9)
    assert idle == {3: {}}  # more workers than replicates
    whole.combine()
    shared.combine([*parts, idle])
    assert (whole.spectra_[3] == shared.spectra_[3]).all()
    assert len(whole.spectra_[3]) == 21
    assert np.allclose(whole.consensus(3).components_, shared.consensus(3).components_)
    with pytest.raises(ValueError, match=r"n_components must be one that was factorized, of \[3\]; got 4"):
        whole.consensus(4)
    with pytest.raises(ValueError, match="density_threshold must leave at least 3 spectra"):
        whole.consensus(3, 1e-9)
    for step, early in (("prepare", "combine"), ("prepare", "factorize"), ("combine", "consensus")):
        with pytest.raises(NotFittedError, match=rf"ConsensusNMF\.{early}: .* first.* Call {step}, or fit\."):
            getattr(latom.ConsensusNMF(3), early)(3)
    for nothing in ([], [idle]):
        with pytest.raises(
            ValueError, match=r"ConsensusNMF\.combine: parts must hold .* Call factorize first"
        ):
            (empty := latom.ConsensusNMF(3).prepare(X)).combine(nothing)
        with pytest.raises(NotFittedError, match=r"ConsensusNMF\.consensus: .* Call combine, or fit\."):
            empty.consensus(3)
    few = latom.ConsensusNMF(2, n_replicates=3, n_features=10, random_state=0).fit(X)
    assert few.components_.shape == (2, 10)
    assert few.programs_.shape == (2, 40)
