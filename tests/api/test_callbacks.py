"""scikit-learn's callbacks (1.9 and later): hooks in order, early stop, nothing copied unasked."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import latom

pytest.importorskip("sklearn.callback")
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.pipeline import make_pipeline

from latom._base.history import Iterations

RNG = np.random.default_rng(0)
X = np.abs(RNG.standard_normal((90, 6)))
CSR = sp.csr_array(np.where(X > 1, X, 0) + 0.1)
CHOSEN = sp.csr_array(np.where(X > 1, X, 0))

# (estimator, rows, starts)
FITS = {
    "KMeans": (latom.KMeans(5, n_init=3, random_state=0), X, 3),
    "SphericalKMeans": (latom.SphericalKMeans(5, init="random", n_init=2, random_state=0), CSR, 2),
    "fixed": (latom.KMeans(5, fixed_centers=X[:2], random_state=0), X, 1),
    "BisectingKMeans": (latom.BisectingKMeans(5, random_state=0), X, 1),
    "MiniBatchKMeans": (latom.MiniBatchKMeans(5, batch_size=30, max_iter=3, random_state=0), X, 1),
    "MiniBatchSphericalKMeans": (latom.MiniBatchSphericalKMeans(5, batch_size=30, max_iter=3), CSR, 1),
    "NMF-hals": (latom.NMF(3, n_init=2, init="random", max_iter=7, tol=0, random_state=0), X, 2),
    "NMF-cd": (latom.NMF(3, solver="cd", max_iter=7, tol=0, random_state=0), CSR, 1),
    "NMF-mu": (latom.NMF(3, solver="mu", max_iter=7, tol=0, random_state=0), X, 1),
    "MiniBatchNMF": (latom.MiniBatchNMF(3, batch_size=30, max_iter=4, tol=0, random_state=0), X, 1),
    "SemiNMF": (latom.SemiNMF(3, max_iter=6, tol=0, random_state=0), X, 1),
    "PointwiseFactorization": (latom.PointwiseFactorization(3, max_iter=6, random_state=0), CHOSEN, 1),
    "IPSFactorization": (latom.IPSFactorization(3, max_iter=6, tol=0, random_state=0), CHOSEN, 1),
    "SemiNMF-sparse": (latom.SemiNMF(3, keep_fraction=0.5, max_iter=6, tol=0, random_state=0), X, 1),
}


class Record:
    """Keeps the names of hooks with their tasks; asks for nothing."""

    def __init__(self, stop_at=None, level="iteration"):
        self.hooks, self.stop_at, self.level = [], stop_at, level

    def setup(self, estimator, context):
        self.hooks.append(("setup", context.task_name, context.task_id))

    def on_fit_task_begin(self, estimator, context):
        self.hooks.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context):
        self.hooks.append(("end", context.task_name, context.task_id))
        return context.task_name == self.level and context.task_id == self.stop_at

    def teardown(self, estimator, context):
        self.hooks.append(("teardown", context.task_name, context.task_id))


class Inspect(Record):
    """Asks for all that hooks may have."""

    def __init__(self):
        super().__init__()
        self.fitted, self.given = [], []

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.fitted.append((context.task_name, fitted_estimator))
        self.given.append((X, y, metadata))


@pytest.fixture(params=FITS)
def fit(request):
    estimator, rows, starts = FITS[request.param]
    return clone(estimator), rows, starts


def run(estimator, rows, callback):
    estimator.set_callbacks(callback)
    fitted = estimator.fit(rows)
    assert fitted is estimator
    return estimator


def test_hooks_come_in_order(fit):
    estimator, rows, starts = fit
    record = Record()
    run(estimator, rows, record)
    hooks = record.hooks
    assert hooks[:2] == [("setup", "fit", 0), ("begin", "fit", 0)]
    assert hooks[-2:] == [("end", "fit", 0), ("teardown", "fit", 0)]
    assert [h for h in hooks if h[1] == "start" and h[0] == "end"] == [
        ("end", "start", k) for k in range(starts)
    ]
    if starts == 1 or isinstance(estimator, (latom.KMeans, latom.SphericalKMeans)):  # one after another
        place = 2
        for k in range(starts):
            assert hooks[place] == ("begin", "start", k)
            last = hooks.index(("end", "start", k))
            inner = hooks[place + 1 : last]
            count = len(inner) // 2
            assert inner == [(what, "iteration", i) for i in range(count) for what in ("begin", "end")]
            place = last + 1
        assert place == len(hooks) - 2
    if starts == 1:
        made = getattr(estimator, "n_steps_", None)
        if made is None or isinstance(estimator, latom.MiniBatchNMF):
            made = estimator.n_iter_
        assert count == made


def test_callbacks_change_nothing(fit):
    estimator, rows, _ = fit
    plain = clone(estimator).fit(rows) if estimator.random_state is not None else None
    run(estimator, rows, Record())
    if plain is not None:
        name = "components_" if hasattr(plain, "components_") else "cluster_centers_"
        a, b = (getattr(e, name) for e in (plain, estimator))
        assert (a != b).sum() == 0


def test_a_stop_of_an_iteration_ends_its_start(fit):
    estimator, rows, starts = fit
    record = Record(stop_at=1)
    run(estimator, rows, record)
    assert estimator.n_iter_ <= 2
    begun = [h for h in record.hooks if h[:2] == ("begin", "iteration")]
    assert begun == [("begin", "iteration", i) for _ in range(starts) for i in range(2)] or starts == 2
    assert len(begun) == 2 * starts
    if isinstance(estimator, (latom.KMeans, latom.SphericalKMeans)):
        assert (estimator.predict(rows) == estimator.labels_).all()


def test_a_stop_of_a_start_ends_the_fit():
    for name in ("KMeans", "SphericalKMeans"):
        estimator, rows, _ = FITS[name]
        record = Record(stop_at=0, level="start")
        run(clone(estimator), rows, record)
        assert [h for h in record.hooks if h[:2] == ("begin", "start")] == [("begin", "start", 0)]
    record = Record(stop_at=0, level="start")  # 128 components side by side at most
    run(latom.NMF(100, init="random", n_init=3, max_iter=2, tol=0), np.abs(RNG.random((200, 110))), record)
    assert [h for h in record.hooks if h[:2] == ("begin", "start")] == [("begin", "start", 0)]


def test_fitted_estimators_are_those_of_a_fit_that_ends_there(fit):
    estimator, rows, starts = fit
    if starts > 1:
        estimator.set_params(n_init=1)
    if estimator.random_state is None:
        estimator.set_params(random_state=0)
    inspect = Inspect()
    run(estimator, rows, inspect)
    iterations = [fitted for name, fitted in inspect.fitted if name == "iteration"]
    assert [name for name, _ in inspect.fitted[-2:]] == ["start", "fit"]
    name = "components_" if hasattr(estimator, "components_") else "cluster_centers_"
    for k, fitted in enumerate(iterations):
        assert fitted is not estimator
        counted = "n_steps_" if hasattr(estimator, "_init_size") else "n_iter_"
        assert getattr(fitted, counted) == k + 1
        if hasattr(fitted, "transform"):
            assert fitted.transform(rows).shape[0] == 90
        else:
            assert fitted.recommend(np.arange(90), rows, N=2)[0].shape == (90, 2)
        if isinstance(estimator, (latom.NMF, latom.MiniBatchNMF)):
            assert fitted.components_.flags.c_contiguous
    arrays = [getattr(fitted, name) for _, fitted in inspect.fitted]
    grown = arrays[0].shape != arrays[1].shape  # a copy each, not one that changes
    assert grown or (arrays[0] != arrays[1]).sum() > 0 or estimator.n_iter_ == 1
    assert (arrays[-1] != getattr(estimator, name)).sum() == 0
    assert (arrays[-2] != getattr(estimator, name)).sum() == 0
    assert all(given[0] is rows for given in inspect.given)


@pytest.mark.parametrize("name", ["KMeans", "NMF-hals"])
def test_weights_come_as_metadata(name):
    estimator, rows, _ = FITS[name]
    inspect, weights = Inspect(), np.linspace(1, 2, 90)
    estimator = clone(estimator).set_callbacks(inspect)
    method = estimator.fit if name == "KMeans" else estimator.fit_transform
    method(rows, sample_weight=weights)
    assert all(given[2]["sample_weight"] is weights for given in inspect.given)


def test_no_attribute_is_made_unasked(fit, monkeypatch):
    """Neither without callbacks nor for one that asks for no fitted estimator."""
    estimator, rows, _ = fit
    asked = []
    own = Iterations.attributes
    monkeypatch.setattr(Iterations, "attributes", lambda self: asked.append(self) or own(self))
    clone(estimator).fit(rows)
    run(clone(estimator), rows, Record())
    assert not asked
    run(estimator, rows, Inspect())
    assert asked


def test_no_task_is_made_without_callbacks(fit, monkeypatch):
    estimator, rows, _ = fit
    monkeypatch.setattr(type(estimator), "_init_callback_context", lambda *_, **__: pytest.fail("made"))
    estimator.fit(rows)


def test_torn_down_after_an_error(fit):
    estimator, rows, _ = fit

    class Fails(Record):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("mine")

    record = Fails()
    with pytest.raises(RuntimeError, match="mine"):
        run(estimator, rows, record)
    assert record.hooks[-1][0] == "teardown"
    assert not hasattr(estimator, "_callback_fit_ctx")


def test_both_kinds_of_callback_are_heard(fit):
    estimator, rows, _ = fit
    states, record = [], Record()
    estimator.set_params(callback=lambda state: states.append(state) or len(states) > 100)
    run(estimator, rows, record)
    assert len(states) == len([h for h in record.hooks if h[:2] == ("end", "iteration")])


def test_scikit_learns_progress_bar_and_a_pipeline(fit, capsys):
    estimator, rows, _ = fit
    pytest.importorskip("rich")
    name = type(estimator).__name__
    run(estimator, rows, ProgressBar())
    assert name in capsys.readouterr().out
    pipeline = make_pipeline(clone(estimator).set_callbacks())
    pipeline.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(rows)
    assert name in capsys.readouterr().out


def test_older_scikit_learn_has_none_and_estimators_fit():
    code = (
        "import sys, numpy as np, sklearn.decomposition, sklearn.callback, latom\n"
        "del sklearn.callback; sys.modules['sklearn.callback'] = None\n"
        "X = np.abs(np.random.default_rng(0).random((30, 4)))\n"
        "for e in (latom.KMeans(2), latom.NMF(2, init='random'), latom.SemiNMF(2, max_iter=1)):\n"
        "    e.fit(X)\n"
        "    assert not hasattr(e, 'set_callbacks')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
