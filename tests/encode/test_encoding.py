"""topk against float64 numpy: sets, ties, dtypes, layouts, errors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from plain_codes import best, scores, whole

import latom
from latom import _core

METRICS = ["dot", "cosine", "euclidean"]


@pytest.fixture
def X(rng):
    return rng.standard_normal((150, 40)).astype(np.float32)


@pytest.fixture
def W(rng):
    return rng.standard_normal((300, 40)).astype(np.float32)


# ---- topk


@pytest.mark.parametrize("activation", ["identity", "relu", "abs"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 5, 64, 300])
def test_topk_is_the_sorted_scores(X, W, k, dtype, activation, rng):
    X, W, bias = X.astype(dtype), W.astype(dtype), rng.standard_normal(300)
    value, index = latom.topk(X, W, k, bias=bias, activation=activation)
    expected, where = best(scores(X, W, bias=bias), k, activation)
    assert (index == where).all()
    assert index.dtype == np.int32
    assert value.dtype == dtype
    assert np.allclose(value, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [1, 5, 150])
def test_metrics(X, W, metric, n):
    value, index = latom.topk(X[:n], W, 7, metric=metric)
    expected, where = best(scores(X[:n], W, metric), 7)
    assert (index == where).all()
    assert np.allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_cosine_with_an_activation(X, W, activation):
    value, index = latom.topk(X, W, 200, metric="cosine", activation=activation)
    expected, where = best(scores(X, W, "cosine"), 200, activation)
    assert (index == where).all()
    assert np.allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("activation", ["identity", "relu", "abs"])
@pytest.mark.parametrize("n", [2, 100])
def test_ties_go_to_the_lowest_index(n, activation, rng):
    X, W = whole(rng, n, 4, low=-2, high=3), whole(rng, 200, 4, low=-2, high=3)
    W[100:] = W[:100]  # and every atom twice
    S = scores(X, W)
    value, index = latom.topk(X, W, 20, activation=activation)
    expected, where = best(S, 20, activation)
    assert (np.diff(expected) == 0).any()
    assert (index == where).all()
    assert (value == expected).all()


@pytest.mark.parametrize("metric", METRICS)
def test_zero_rows_and_zero_atoms(metric, X, W):
    X[3], W[[0, 9]] = 0, 0
    value, index = latom.topk(X, W, 4, metric=metric)
    assert (index == best(scores(X, W, metric), 4)[1]).all()
    if metric != "euclidean":
        assert (index[3] == [0, 1, 2, 3]).all()
        assert (value[3] == 0).all()


def test_relu_fills_up_with_zeros(rng):
    X, W = -np.abs(whole(rng, 20, 5)), np.abs(whole(rng, 50, 5)) + 1
    X[4] = 1
    value, index = latom.topk(X, W, 3, activation="relu")
    rest = np.arange(20) != 4
    assert (value[4] > 0).all()
    assert not value[rest].any()
    assert not index[rest].any()


def test_threads_do_not_change_the_result(X, W):
    one = latom.topk(X, W, 9, n_threads=1)
    for threads in (2, 5):
        for a, b in zip(one, latom.topk(X, W, 9, n_threads=threads), strict=True):
            assert a.tobytes() == b.tobytes()


def test_variants_do_not_change_the_result(isa, X, W):
    value, index = latom.topk(X, W, 9)
    expected, where = best(scores(X, W), 9)
    assert (index == where).all()
    assert (np.abs(value - expected) <= 2.0**-24 * np.abs(expected)).all()  # rounded once


# ---- dtypes and layouts


def torch_rows(X):
    return pytest.importorskip("torch").from_numpy(X.copy())


HALVES = {
    "float16": lambda X: X.astype(np.float16),
    "bfloat16": lambda X: X.astype(pytest.importorskip("ml_dtypes").bfloat16),
    "torch float32": torch_rows,
    "torch float16": lambda X: torch_rows(X).half(),
    "torch bfloat16": lambda X: torch_rows(X).bfloat16(),
}


def as_float32(rows):
    return rows.float().numpy() if hasattr(rows, "numpy") else rows.astype(np.float32)


@pytest.mark.parametrize("make", list(HALVES.values()), ids=list(HALVES))
def test_storages_mean_their_numbers(make, X, W):
    rows = make(X)
    plain = as_float32(rows)
    value, index = latom.topk(rows, W, 6)
    assert value.dtype == np.float32
    expected, where = latom.topk(plain, W, 6)
    assert value.tobytes() == expected.tobytes()
    assert (index == where).all()
    atoms = make(W)
    assert (latom.topk(X, atoms, 6)[1] == latom.topk(X, as_float32(atoms), 6)[1]).all()
    value, index = latom.topk(rows, W.astype(np.float64), 6)
    assert value.dtype == np.float64
    assert (index == where).all()
    if "bfloat16" not in str(rows.dtype):  # neither every other row nor the last columns only
        assert (latom.topk(rows[::2, 1:], W[:, 1:], 6)[1] == latom.topk(plain[::2, 1:], W[:, 1:], 6)[1]).all()


@pytest.mark.parametrize("storage", ["float16", "bfloat16"])
def test_half_precision_is_not_widened_as_a_whole(storage, W, monkeypatch):
    dtype = np.float16 if storage == "float16" else pytest.importorskip("ml_dtypes").bfloat16
    X = np.ones((50, 40), dtype)
    from latom._base import rows

    monkeypatch.setattr(rows, "widen", lambda *_: pytest.fail("widened"))
    monkeypatch.setattr(_core.Rows, "norm2", lambda *_: pytest.fail("measured as a whole"))
    latom.topk(X, W, 3)


def test_float64_on_either_side_computes_in_float64(X, W):
    exact = scores(X, W)
    for a, b in ((X.astype(np.float64), W), (X, W.astype(np.float64))):
        value, _ = latom.topk(a, b, 5)
        assert value.dtype == np.float64
        assert np.allclose(value, best(exact, 5)[0], rtol=1e-12)
    tiny = X.astype(np.float64) * (1 + 1e-12)
    assert (latom.topk(tiny, W, 5)[0] != value).all()


def test_layouts(X, W, tmp_path):
    expected = latom.topk(X, W, 5)
    read_only = X.copy()
    read_only.flags.writeable = False
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    wide = np.zeros((300, 80), np.float32)
    wide[::2, ::2] = X
    for rows in (read_only, mapped, np.asfortranarray(X), wide[::2, ::2], X.tolist(), X.astype(">f4")):
        value, index = latom.topk(rows, W, 5)
        assert (index == expected[1]).all()
        assert np.allclose(value, expected[0], rtol=1e-6)
    value, _ = latom.topk(whole(np.random.default_rng(0), 9, 40, np.int64), W, 5)
    assert value.dtype == np.float64
    assert (latom.topk(X, np.asfortranarray(W), 5)[1] == expected[1]).all()


def test_inputs_are_neither_copied_nor_written(X, W, monkeypatch):
    seen = []

    class Spy(_core.AtomIndex):
        def __init__(self, context, atoms, *rest):
            seen.append(atoms)
            super().__init__(context, atoms, *rest)

    def prepare(context, rows, *rest):
        given.append(rows)
        return original(context, rows, *rest)

    given, original = [], _core.prepare
    monkeypatch.setattr(_core, "AtomIndex", Spy)
    monkeypatch.setattr(_core, "prepare", prepare)
    before = X.copy(), W.copy()
    latom.topk(X, W, 3)
    latom.topk(X.astype(np.float16), W, 3)
    assert np.shares_memory(seen[0], W)
    assert np.shares_memory(given[0], X)
    assert given[1].dtype == np.uint16
    assert np.array_equal(X, before[0])
    assert np.array_equal(W, before[1])


def test_torch_is_not_imported_for_numpy():
    code = "import latom, numpy as np, sys; X = np.eye(3); latom.decode(latom.encode(X, X, 1), X)"
    done = subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], timeout=120)
    assert done.returncode == 0


# ---- errors


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [3, 150])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_not_finite_names_the_first_row(bad, n, dtype, X, W):
    rows = X[:n].astype(dtype)
    rows[[1, n - 1], 5] = bad
    for call in (lambda: latom.topk(rows, W, 3), lambda: latom.encode(rows, W, 3)):
        with pytest.raises(ValueError, match=r"X must be finite.* in row 1\. ") as error:
            call()
        assert str(error.value).startswith(("topk: ", "encode: "))
    W[[7, 30], 0] = bad
    with pytest.raises(ValueError, match=r"atoms must be finite.* in row 7\. "):
        latom.topk(X[:n], W, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 0}, r"topk: k must be an integer in \[1, 300\]; got 0"),
        ({"k": 301}, r"topk: k must be an integer in \[1, 300\]; got 301"),
        ({"k": 2.0}, r"k must be an integer"),
        ({"X": np.ones((3, 39), np.float32)}, "topk: X must have as many columns as atoms, 40; got 39"),
        ({"X": np.ones(40, np.float32)}, "X must have two dimensions"),
        ({"X": np.ones(40, np.float16)}, "X must have two dimensions"),
        ({"X": np.ones((0, 40), np.float32)}, "X must have at least one row"),
        ({"X": np.ones((0, 40), np.float16)}, "at least one row"),
        ({"atoms": np.ones((0, 40), np.float32)}, "atoms must have at least one row"),
        ({"bias": np.ones(299)}, r"bias must have shape \(300,\); got \(299,\)"),
        ({"bias": np.full(300, np.nan)}, "bias must be finite; got nan at 0"),
        ({"metric": "manhattan"}, "metric must be 'dot', 'cosine' or 'euclidean'; got 'manhattan'"),
        ({"metric": None}, "metric must be"),
        ({"metric": "cosine", "bias": np.ones(300)}, "bias must be None with metric='cosine'"),
        ({"metric": "euclidean", "activation": "abs"}, "activation must be 'identity' with metric"),
        ({"activation": "gelu"}, "activation must be 'identity', 'relu' or 'abs'; got 'gelu'"),
        ({"n_threads": 0}, "n_threads must be an integer in"),
    ],
)
def test_bad_arguments_say_what_to_do(change, words, X, W):
    arguments = {"X": X, "atoms": W, "k": 3} | change
    with pytest.raises(ValueError, match=words) as error:
        latom.topk(arguments.pop("X"), arguments.pop("atoms"), arguments.pop("k"), **arguments)
    assert str(error.value).startswith("topk: ")
    assert str(error.value).endswith(".")


def test_wrong_types(X, W):
    for rows in (sp.csr_array(X), sp.csr_matrix(X), sp.coo_array(X)):  # which topk takes
        with pytest.raises(TypeError, match=r"X must be dense.*Densify it in blocks"):
            latom.encode(rows, W, 3)
        assert (latom.topk(rows, W, 3)[1] == latom.topk(X, W, 3)[1]).all()
    with pytest.raises(TypeError, match="must be dense"):
        latom.encode(X, sp.csr_array(W), 3)
    for rows in (X.astype(complex), np.full((2, 40), "a")):
        with pytest.raises(TypeError, match="X must hold real numbers"):
            latom.topk(rows, W, 3)


def test_torch_tensors_that_cannot_be_taken(X, W):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(X)
    with pytest.raises(TypeError, match="X must be dense"):
        latom.encode(tensor.to_sparse(), W, 3)
    assert (latom.topk(tensor.to_sparse(), W, 3)[1] == latom.topk(X, W, 3)[1]).all()
    with pytest.raises(TypeError, match=r"memory of the CPU; got a tensor on meta\. Pass X\.cpu"):
        latom.topk(tensor.to("meta"), W, 3)
    with_gradient = torch.nn.Parameter(tensor.clone())
    assert (latom.topk(with_gradient, W, 3)[1] == latom.topk(X, W, 3)[1]).all()
    assert (
        latom.topk(tensor.bfloat16().T.contiguous().T, W, 3)[1] == latom.topk(tensor.bfloat16(), W, 3)[1]
    ).all()


def test_stats_say_what_was_decided_in_float64(rng):
    X, W = rng.standard_normal((50, 20)), rng.standard_normal((400, 20))
    *_, stats = latom.topk(X, W, 5, return_stats=True)
    assert stats["overflowed"] == 0
    assert 5 * 50 <= stats["scored"] < 50 * 400
    # Every atom ties. Many threads would share out the atoms, and keep all that a part of them holds.
    *_, stats = latom.topk(X, np.repeat(W[:1], 400, axis=0), 5, return_stats=True, n_threads=2)
    assert stats == {"scored": 50 * 400, "overflowed": 50}


def test_codes_of_another_width_are_refused_in_the_words_of_factorizations():
    X = np.eye(4) + 0.1
    models = latom.TopKEncoder(X, 2), latom.MatchingPursuit(X, split_sign=True), latom.NMF(4, tol=0.1).fit(X)
    for model, width in zip(models, (4, 8, 4), strict=True):
        words = rf"^{type(model).__name__}\.inverse_transform: X must have a column for each of the {width} "
        with pytest.raises(ValueError, match=words + r"components; got 3\. Pass what transform returns\."):
            model.inverse_transform(np.ones((2, 3)))
