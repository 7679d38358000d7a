"""Input that breaks others: a clear error or the right answer, never a crash, a hang or a changed array."""

from __future__ import annotations

import core
import numpy as np
import pytest
import scipy.sparse as sp
from oracle import check_labels, corpus, random_rows

import latom


@pytest.fixture
def X():
    return corpus(np.random.default_rng(0), 200, 50, 6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dense", [False, True])
def test_not_finite_names_the_first_row(bad, dtype, dense, X):
    A = X.toarray().astype(dtype)
    A[[41, 77], 3] = bad
    what = "NaN" if np.isnan(bad) else "infinity"
    rows = A if dense else sp.csr_array(A)
    for call in (
        lambda: latom.SphericalKMeans(3).fit(rows),
        lambda: latom.KMeans(3).fit(rows),
        lambda: latom.assign(rows, X[:3].astype(dtype)),
        lambda: latom.kmeans_plusplus(rows, 3),
    ):
        with pytest.raises(ValueError, match=f"without NaN or infinity; got {what} in row 41"):
            call()
    with pytest.raises(ValueError, match="centers must be finite"):
        latom.assign(X, rows[40:43])


def test_squares_that_underflow_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"got a length of 1e-200 in row 1\. Scale X up"):
        latom.KMeans(1).fit(np.array([[1.0, 2], [1e-200, 0]]))
    with pytest.raises(ValueError, match=r"got a length of 1e-170 in row 0\. Scale centers up"):
        latom.assign(np.eye(2), np.eye(2) * 1e-170)
    with pytest.raises(ValueError, match=r"got a length of 1e\+200 in row 0\. Scale centers down"):
        latom.assign(np.eye(2), np.eye(2) * 1e200)


def test_tiny_data_keep_their_labels():
    """Float32 denormals, where lower bounds kept as float32 could round up."""
    rng = np.random.default_rng(0)
    for scale in (1e-45, 1e-43, 1e-38):
        X = sp.csr_array((rng.random((300, 3)) * 100 * scale).astype(np.float32))
        km = latom.KMeans(5, random_state=0, tol=0).fit(X)
        assert (km.labels_ == km.predict(X)).all()


def test_squares_that_overflow_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"got a length of 1e\+200 in row 1\. Scale X down"):
        latom.KMeans(1).fit(np.array([[1.0, 2], [1e200, 0]]))


@pytest.mark.parametrize("scale", [1e-140, 1e-30, 1e-18, 1e15, 1e140])
def test_extreme_scales_keep_their_labels(scale, X):
    reference = latom.SphericalKMeans(5, random_state=0).fit(X.astype(np.float64))
    scaled = latom.SphericalKMeans(5, random_state=0).fit(X.astype(np.float64) * scale)
    assert (scaled.labels_ == reference.labels_).all()


def test_unsorted_and_duplicate_entries_mean_their_sum(X):
    rng = np.random.default_rng(1)
    indices, data, indptr = [], [], [0]
    for i in range(X.shape[0]):
        row = X[[i]]
        cols = np.concatenate([row.indices, row.indices])
        vals = np.concatenate([row.data * 0.25, row.data * 0.75])
        order = rng.permutation(len(cols))
        indices.append(cols[order])
        data.append(vals[order])
        indptr.append(indptr[-1] + len(cols))
    messy = sp.csr_array((np.concatenate(data), np.concatenate(indices), indptr), shape=X.shape)
    copies = messy.data.copy(), messy.indices.copy()
    a, b = latom.assign(messy, X[:9]), latom.assign(X, X[:9])
    assert (a[0] == b[0]).all()
    assert np.allclose(a[1], b[1])
    km = latom.SphericalKMeans(4, random_state=0).fit(messy)
    assert (km.predict(messy) == km.labels_).all()
    assert (messy.data == copies[0]).all()
    assert (messy.indices == copies[1]).all()


def test_explicit_zeros_and_empty_rows(X):
    Y = X.copy()
    Y.data[::3] = 0
    clean = Y.copy()
    clean.eliminate_zeros()
    a, b = (latom.SphericalKMeans(4, init=X[:4]).fit(Z) for Z in (Y, clean))
    assert (a.labels_ == b.labels_).all()
    empty = sp.csr_array((5, 7), dtype=np.float32)
    with pytest.warns(Warning, match=r"5 rows of X are zero|distinct clusters \(1\)"):
        km = latom.SphericalKMeans(2, random_state=0).fit(empty)
    assert (km.labels_ == 0).all()
    assert km.inertia_ == 5


def test_broken_csr_is_refused():
    def csr(indptr, indices, data, shape=(2, 3)):
        X = sp.csr_array(shape)
        X.indptr, X.indices, X.data = map(np.asarray, (indptr, indices, data))
        return X

    for X, words in [
        (csr([0, 1, 2], [0, 9], [1.0, 1.0]), "indices must lie in"),
        (csr([0, 1, 2], [0, -1], [1.0, 1.0]), "indices must lie in"),
        (csr([1, 1, 2], [0, 1], [1.0, 1.0]), "indptr must start at 0"),
        (csr([0, 2, 1], [0, 1], [1.0, 1.0]), "indptr must not decrease"),
        (csr([0, 1, 9], [0, 1], [1.0, 1.0]), "indptr must end within"),
    ]:
        with pytest.raises(ValueError, match="X." + words):
            latom.assign(X, np.eye(3))
        with pytest.raises(ValueError, match="centers." + words):
            latom.assign(np.eye(3), X)
        with pytest.raises(ValueError, match=words):
            latom.KMeans(2, init=X).fit(np.eye(3))
        with pytest.raises(ValueError, match=words):
            latom.KMeans(3, fixed_centers=X).fit(np.eye(3))
        with pytest.raises(ValueError, match=words):
            latom.kmeans_plusplus(np.eye(3), 1, existing_centers=X)
    unsorted = csr([0, 2, 2], [9, 0], [1.0, 1.0])
    with pytest.raises(ValueError, match="indices must lie in"):
        latom.KMeans(3, fixed_centers=unsorted).fit(np.eye(3))


def test_read_only_memory_mapped_and_int64_are_taken_as_they_are(tmp_path, X):
    paths = {}
    for name in ("data", "indices", "indptr"):
        paths[name] = tmp_path / f"{name}.npy"
        np.save(paths[name], getattr(X, name).astype(np.int64) if name != "data" else X.data)
    parts = {name: np.load(path, mmap_mode="r") for name, path in paths.items()}
    mapped = sp.csr_array((parts["data"], parts["indices"], parts["indptr"]), shape=X.shape)
    assert not mapped.data.flags.writeable
    km = latom.SphericalKMeans(4, random_state=0).fit(mapped)
    assert (km.labels_ == latom.SphericalKMeans(4, random_state=0).fit(X).labels_).all()
    dense = X.toarray()
    dense.flags.writeable = False
    np.save(tmp_path / "dense.npy", dense)
    for rows in (dense, np.load(tmp_path / "dense.npy", mmap_mode="r")):
        assert len(latom.KMeans(4, random_state=0).fit(rows).labels_) == 200


@pytest.mark.parametrize("convert", [
    np.asfortranarray,
    lambda A: A[::-1][::-1],
    lambda A: np.repeat(A, 2, axis=1)[:, ::2],
    lambda A: A.astype(np.float16),
    lambda A: (A * 100).astype(np.int32),
    lambda A: A > 0.5,
    lambda A: A.tolist(),
    lambda A: A.astype(object),
])  # fmt: skip
def test_other_layouts_and_types_are_converted(convert, X):
    A = X.toarray()
    Y = convert(A)
    expected = np.asarray(Y, dtype=np.float64)
    labels, _ = latom.assign(Y, A[:6])
    check_labels(expected, A[:6], labels, "cosine")


@pytest.mark.parametrize("rows", [np.zeros((3, 4), complex), np.array([["a", "b"]])])
def test_what_is_not_a_real_number_is_a_type_error(rows):
    with pytest.raises((TypeError, ValueError), match=r"assign: X must|could not convert|real numbers"):
        latom.assign(rows, np.zeros((1, 4)))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,), (2, 2, 2)])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match="assign: X must have"):
        latom.assign(np.zeros(shape), np.zeros((1, 3)))


def test_shapes_that_disagree(X):
    with pytest.raises(ValueError, match="centers must be one or more rows of 50 columns; got 2 x 49"):
        latom.assign(X, np.zeros((2, 49)))
    with pytest.raises(ValueError, match="metric must be"):
        latom.assign(X, X[:2], metric="manhattan")
    for weights, words in [
        (np.ones(3), "must have shape"),
        (-np.ones(200), "not negative; got -1.0 in row 0"),
        (np.full(200, np.nan), "finite"),
        (np.zeros(200), "positive entry"),
    ]:
        with pytest.raises(ValueError, match=words):
            latom.SphericalKMeans(3).fit(X, sample_weight=weights)


@pytest.mark.parametrize("indices", [np.int32, np.int64, np.uint16, np.uint32, ">i4"])
@pytest.mark.parametrize("indptr", [np.int32, np.int64, np.uint32])
def test_every_index_type_is_taken_and_left_alone(indices, indptr, X):
    Y = X.copy()
    Y.indices, Y.indptr = X.indices.astype(indices), X.indptr.astype(indptr)
    for cls in (latom.SphericalKMeans, latom.KMeans):
        km = cls(4, random_state=0).fit(Y)
        assert (km.labels_ == cls(4, random_state=0).fit(X).labels_).all()
    assert (latom.assign(Y, Y[:4])[0] == latom.assign(X, X[:4])[0]).all()
    assert Y.indices.dtype == indices
    assert Y.indptr.dtype == indptr


def test_unaligned_arrays(X):
    A = X.toarray().astype(np.float64)
    odd = np.frombuffer(b"x" + A.tobytes(), dtype=np.float64, offset=1).reshape(A.shape)
    assert not odd.flags.aligned
    assert (latom.assign(odd, A[:5])[0] == latom.assign(A, A[:5])[0]).all()


def test_empty_clusters_are_filled_far_from_the_origin():
    y = 2000 + np.random.default_rng(0).integers(-3, 4, (500, 1)).astype(float)
    start = np.array([[2000.0], [2100], [2200], [2300]])
    for X in (y, sp.csr_array(y)):
        assert (np.bincount(latom.KMeans(4, init=start, tol=0).fit(X).labels_) > 0).all()
    X = np.array([[0.0], [10], [10.5]])  # the zero row is the worst-fitting one
    assert latom.KMeans(2, init=[[10.0], [99]], max_iter=1).fit(X).labels_.tolist() == [1, 0, 0]


def test_cosines_stay_within_one():
    rng = np.random.default_rng(0)
    for _ in range(100):
        x = rng.random((1, 5))
        assert abs(latom.assign(x, x)[1][0]) <= 1
        assert latom.SphericalKMeans(1).fit(np.tile(x, (3, 1))).inertia_ >= 0


def test_the_core_wants_its_calls_in_order():
    lloyd = core.Lloyd(np.eye(3), None, "cosine", 1, "test")
    with pytest.raises(RuntimeError, match="set_centers must come first"):
        lloyd.assign()
    with pytest.raises(ValueError, match="centers must be one or more rows of 3 columns; got 2 x 2"):
        lloyd.set_centers(np.eye(2), True)
    lloyd.set_centers(np.eye(3), True)
    with pytest.raises(RuntimeError, match="assign must come first"):
        lloyd.update()


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda X: latom.assign(X, X, metric=None), ValueError, "metric must be"),
        (lambda X: latom.assign(X, X, n_threads="a"), ValueError, "n_threads must be"),
        (lambda X: latom.assign(X, X, n_threads=2**40), ValueError, "n_threads must be"),
        (lambda X: latom.kmeans_plusplus(X, None), ValueError, "n_clusters must be"),
        (lambda X: latom.kmeans_plusplus(X, 2, random_state=-3), ValueError, "random_state must be"),
        (lambda X: latom.SphericalKMeans(2, random_state="x").fit(X), ValueError, "fit: random_state must"),
        (
            lambda X: latom.SphericalKMeans(2).fit(X, sample_weight="a"),
            (TypeError, ValueError),
            "sample_weight",
        ),
        (lambda X: latom.SphericalKMeans(2).fit(X, sample_weight=np.full(200, 1e300)), ValueError, "1e100"),
        (lambda X: latom.SphericalKMeans(2).fit(X, sample_weight=np.full(200, 1j)), TypeError, "real"),
        (lambda X: latom.SphericalKMeans(2, init=5).fit(X), ValueError, "init must have two dim"),
        (lambda X: latom.KMeans(2).fit(X).predict(X[:, :9]), ValueError, "features"),
        (
            lambda X: latom.KMeans(2).partial_fit(X).set_params(n_clusters=3).partial_fit(X),
            ValueError,
            "stay 2",
        ),
    ],
)
def test_messages(call, kind, words, X):
    with pytest.raises(kind, match=words):
        call(X)


@pytest.mark.parametrize("cls", [latom.SphericalKMeans, latom.KMeans])
def test_fewer_distinct_rows_than_clusters_ends(cls):
    rows = np.repeat(np.eye(3) + 1, 30, axis=0)
    for X in (rows, sp.csr_array(rows)):
        with pytest.warns(Warning, match="distinct"):
            km = cls(10, random_state=0).fit(X)
        assert km.inertia_ < 1e-10
        assert km.n_iter_ <= 3
        assert (km.predict(X) == km.labels_).all()


def test_as_many_clusters_as_rows(X):
    km = latom.SphericalKMeans(200, random_state=0).fit(X)
    assert km.inertia_ < 1e-4
    assert len(np.unique(km.labels_)) == 200


def test_huge_k_and_wide_rows():
    """20 000 centers; and one row with more entries than the integer screen may add up."""
    rng = np.random.default_rng(0)
    X = random_rows(rng, 20_500, 3000, density=0.002, dtype=np.float32)
    with pytest.warns(Warning, match=r"52 rows of X are zero|distinct clusters \(1\)"):
        km = latom.SphericalKMeans(20_000, init="random", n_init=1, max_iter=2, random_state=0).fit(X)
    assert (km.predict(X) == km.labels_).all()
    wide = random_rows(rng, 30, 300_000, density=0.02, dtype=np.float32).tolil()
    wide[3] = rng.random((1, 300_000), dtype=np.float32)
    wide = sp.csr_array(wide)
    assert np.diff(wide.indptr).max() > 131_072
    labels, _ = latom.assign(wide, wide[:5])
    check_labels(wide, wide[:5], labels, "cosine")


def test_inputs_are_never_written(X):
    before = X.data.copy(), X.indices.copy(), X.indptr.copy()
    start = X[:4].copy()
    first = start.data.copy()
    w = np.random.default_rng(0).random(200)
    weights = w.copy()
    latom.SphericalKMeans(4, init=start).fit(X, sample_weight=w)
    for a, b in zip(before, (X.data, X.indices, X.indptr), strict=True):
        assert (a == b).all()
    assert (start.data == first).all()
    assert (w == weights).all()


def test_the_core_refuses_what_python_would_have_converted(X):
    with pytest.raises(TypeError, match="must be a C-contiguous float32 or float64 array; got int64"):
        core.Lloyd(np.zeros((3, 3), np.int64), None, "cosine", 1, "test")
    with pytest.raises(TypeError, match="must be a C-contiguous"):
        core.Lloyd(np.asfortranarray(np.ones((3, 3))), None, "cosine", 1, "test")
