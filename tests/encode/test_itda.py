"""ITDA against row-by-row loops; batches, starts, labels, files."""

from __future__ import annotations

import pickle

import numpy as np
import plain_pursuit as plain
import pytest
from sklearn.base import clone

import latom
from latom import ITDA


@pytest.fixture(params=["float32", "float64"])
def X(request, rng):
    made = rng.standard_normal((400, 4)) @ rng.standard_normal((4, 12)) + 0.3 * rng.standard_normal((400, 12))
    return (made * rng.uniform(0.1, 10, (400, 1))).astype(request.param)


def unit(X):
    return X / np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)


@pytest.mark.parametrize("algorithm", ["mp", "omp"])
def test_sequential_is_row_by_row(algorithm, X):
    start = [row.astype(X.dtype).astype(np.float64) for row in unit(X[:3])]
    want = plain.grow(X, atoms := list(start), 4, 0.06, algorithm == "omp")
    for size in (7, 64, 1000):
        model = ITDA(4, 0.06, algorithm=algorithm, update="sequential", init=X[:3], batch_size=size).fit(X)
        assert model.atom_indices_.tolist() == [-1] * 3 + want
        assert model.components_.dtype == X.dtype
        assert np.abs(model.components_ - np.array(atoms)).max() < 1e-6
    assert len(want) > 20


@pytest.mark.parametrize("algorithm", ["mp", "omp"])
def test_batches_add_all_that_their_atoms_miss(algorithm, X):
    table = unit(X[:5])
    want, size = [-1] * 5, 90
    for first in range(0, len(X), size):
        part = unit(X[first : first + size])
        codes = plain.all_rows(part, table.astype(X.dtype), 3, orthogonal=algorithm == "omp")
        left = ((part - codes @ table.astype(X.dtype)) ** 2).sum(axis=1)
        missed = np.flatnonzero(left > 0.2)
        want += (first + missed).tolist()
        table = np.concatenate([table, part[missed]])
    model = ITDA(3, 0.2, algorithm=algorithm, init=X[:5], batch_size=size).fit(X)
    assert model.atom_indices_.tolist() == want
    assert np.abs(model.components_ - table).max() < 1e-6
    assert model.history_["n_atoms"].tolist()[-1] == len(want)
    assert model.history_["added"].sum() == len(want) - 5


def test_the_start_takes_what_is_most_frequent(X):
    rows = X[[0, 1, 2, 3, 2, 4, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]]
    rows[3] = 0
    model = ITDA(2, 1.0, batch_size=8).fit(rows)
    # rows 2, then 1, come most often in the first batch; then the others as they come, up to 12.
    assert model.atom_indices_.tolist() == [2, 1, 0, 5, 8, 9, 10, 11, 12, 13, 14, 15]
    assert ITDA(2, 1.0, 4, batch_size=8).fit(rows).atom_indices_.tolist() == [2, 1, 0, 5]


@pytest.mark.parametrize("update", ["batch", "sequential"])
def test_parts_go_on_where_the_last_ended(update, X):
    labels = np.array([f"t{i}" for i in range(400)])
    whole = ITDA(3, 0.2, update=update, batch_size=50).fit(X, labels=labels)
    parts = ITDA(3, 0.2, update=update, batch_size=50)
    for first in range(0, 400, 100):
        parts.partial_fit(X[first : first + 100], labels=labels[first : first + 100])
        parts = pickle.loads(pickle.dumps(parts))
    assert np.array_equal(parts.atom_indices_, whole.atom_indices_)
    assert parts.components_.tobytes() == whole.components_.tobytes()
    assert parts.atom_labels_.tolist() == [f"t{i}" for i in whole.atom_indices_]
    assert len(parts.history_) == len(whole.history_) == 8
    for threads in (1, 5):
        other = clone(whole).set_params(n_threads=threads).fit(X)
        assert other.components_.tobytes() == whole.components_.tobytes()
        assert other.atom_labels_ is None


def test_codes_are_those_of_the_pursuit(X):
    model = ITDA(5, 0.2, batch_size=64).fit(X)
    codes = model.transform(X)
    want = latom.matching_pursuit(X, model.components_, 5)
    assert codes.data.tobytes() == want.data.tobytes()
    atoms = model.atom_indices_
    assert np.allclose(model.inverse_transform(codes)[atoms], X[atoms], rtol=1e-3, atol=1e-3)
    assert model.get_feature_names_out().tolist()[:2] == ["itda0", "itda1"]


def test_full_dictionaries_and_callbacks_stop(X):
    full = ITDA(3, 0.05, 40, batch_size=30).fit(X)
    assert len(full.components_) == 40
    assert len(full.history_) < 14
    assert len(ITDA(3, 0.05, 40, update="sequential", batch_size=30).fit(X).components_) == 40
    states = []
    ITDA(3, 0.05, batch_size=30, callback=lambda state: states.append(state) or len(states) == 2).fit(X)
    assert [state.iteration for state in states] == [1, 2]
    assert states[1].n_atoms > states[0].n_atoms > 0


def test_jaccard(X):
    one = ITDA(3, 0.2, batch_size=64).fit(X[:300])
    two = ITDA(3, 0.2, batch_size=64).fit(X)
    assert one.jaccard(one) == 1
    shared = set(one.atom_indices_.tolist()) & set(two.atom_indices_.tolist())
    either = set(one.atom_indices_.tolist()) | set(two.atom_indices_.tolist())
    assert one.jaccard(two) == two.jaccard(one) == len(shared) / len(either)
    pairs = np.stack([np.arange(400) // 20, np.arange(400) % 20], axis=1)
    ahead = ITDA(3, 0.2, batch_size=64).fit(X, labels=pairs)
    shifted = ITDA(3, 0.2, batch_size=64).fit(X[20:], labels=pairs[20:])
    assert ahead.atom_labels_.shape == (len(ahead.components_), 2)
    assert 0 < ahead.jaccard(shifted) < 1
    assert ITDA(3, init=X[:4]).fit(X[:4]).jaccard(one) == 0
    with pytest.raises(TypeError, match="other must be an ITDA"):
        one.jaccard(X)


def test_files(X, tmp_path):
    labels = np.array([f"token {i}" for i in range(400)])
    model = ITDA(5, 0.2, algorithm="omp", batch_size=64).fit(X[:200], labels=labels[:200])
    model.save(tmp_path / "a.npz")
    again = ITDA.load(tmp_path / "a.npz", n_threads=2)
    assert again.get_params() == model.get_params() | {"n_threads": 2}
    assert (again.transform(X) != model.transform(X)).nnz == 0
    for grown in (model, again):
        grown.partial_fit(X[200:], labels=labels[200:])
    assert again.components_.tobytes() == model.components_.tobytes()
    assert again.atom_labels_.tolist() == model.atom_labels_.tolist()
    with pytest.raises(FileNotFoundError, match=r"^ITDA\.load: path must be readable"):
        ITDA.load(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-90])
    np.savez(tmp_path / "d.npz", atoms=X)
    np.savez(tmp_path / "e.npz", config=np.array('{"format": "latom.ITDA 1"}'), atoms=X, indices=np.arange(3))
    for name in "cde":
        with pytest.raises(ValueError, match=r"^ITDA\.load: path must be a file that ITDA\.save has written"):
            ITDA.load(tmp_path / f"{name}.npz")
    model.fit(X, labels=np.array([object()] * 400))
    with pytest.raises(TypeError, match="labels must be numbers or strings"):
        model.save(tmp_path / "f.npz")


def test_half_precision_and_tokens(X):
    half = X.astype(np.float16)
    one = ITDA(3, 0.2, batch_size=64).fit(half)
    two = ITDA(3, 0.2, batch_size=64).fit(half.astype(np.float32).reshape(20, 20, 12))
    assert one.components_.dtype == np.float32
    assert one.components_.tobytes() == two.components_.tobytes()
    assert one.transform(half.reshape(20, 20, 12)).shape == (400, len(one.components_))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_nonzero_coefs": 0}, "n_nonzero_coefs must be"),
        ({"tol": 1.5}, "tol must be"),
        ({"max_atoms": 0}, "max_atoms must be"),
        ({"algorithm": "lars"}, "algorithm must be"),
        ({"update": "online"}, "update must be"),
        ({"init": "random"}, "init must be"),
        ({"init": np.zeros((2, 12))}, "init must be finite rows of 12 numbers"),
        ({"init": np.ones((2, 11))}, "init must be finite rows of 12 numbers"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"verbose": -1}, "verbose must be"),
    ],
)
def test_wrong_parameters_are_refused(parameters, words, X):
    with pytest.raises(ValueError, match=rf"^ITDA\.fit: {words}"):
        ITDA(**parameters).fit(X)


def test_labels_come_always_or_never(X):
    with pytest.raises(ValueError, match="labels must have one entry per row, 400"):
        ITDA().fit(X, labels=[1, 2])
    model = ITDA(3, 0.5).fit(X)
    with pytest.raises(ValueError, match="labels must be given in each call or in none"):
        model.partial_fit(X, labels=np.arange(400))
    with pytest.raises(ValueError, match=r"^ITDA\.transform: fit must be called first"):
        ITDA().transform(X)


def test_dense_codes_and_frames(X):
    fitted = ITDA(5, 0.2, batch_size=64).fit(X)
    codes = fitted.transform(X)
    back = fitted.inverse_transform(codes)
    assert fitted.inverse_transform(codes.toarray()).tobytes() == back.tobytes()
    dense = fitted.set_params(sparse_output=False).transform(X)
    assert isinstance(dense, np.ndarray)
    assert (dense == codes.toarray()).all()
    with pytest.raises(
        ValueError,
        match=r"^ITDA\.inverse_transform: X must have a column .* components; got 3\.",
    ):
        fitted.inverse_transform(dense[:, :3])
    with pytest.raises(ValueError, match=r"^ITDA\.fit: sparse_output must be True or False"):
        ITDA(sparse_output="no").fit(X)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"c{j}" for j in range(12)])
    out = clone(fitted).fit(frame).set_output(transform="pandas").transform(frame)
    assert out.columns[0] == "itda0"
    assert (out.to_numpy() == dense).all()


def test_what_comes_second_are_labels(X):
    labels = np.array([f"t{i}" for i in range(400)])
    by_name = ITDA(3, 0.2).fit(X, labels=labels)
    assert ITDA(3, 0.2).fit(X, labels).atom_labels_.tolist() == by_name.atom_labels_.tolist()
    parts = ITDA(3, 0.2).partial_fit(X[:200], labels[:200]).partial_fit(X[200:], labels[200:])
    assert parts.atom_labels_.tolist() == [f"t{i}" for i in parts.atom_indices_]
    assert ITDA(3, 0.2).fit(X, np.zeros(400), labels=labels).atom_labels_[0].startswith("t")


def test_numbers_beside_strings_stay_numbers(X, tmp_path):
    pairs = [(i, f"word {i % 7}") for i in range(400)]
    model = ITDA(3, 0.2, init=X[:2], batch_size=100).fit(X, labels=pairs)
    assert model.atom_labels_.shape == (len(model.components_), 2)
    assert [tuple(label) for label in model.atom_labels_[2:]] == [pairs[i] for i in model.atom_indices_[2:]]
    assert model.jaccard(model) == 1
    model.save(tmp_path / "a.npz")
    again = ITDA.load(tmp_path / "a.npz")
    assert again.atom_labels_.tolist() == model.atom_labels_.tolist()
    later = ITDA(3, 0.2).partial_fit(X[:200], np.arange(200)).partial_fit(X[200:], ["a"] * 200)
    assert set(map(type, later.atom_labels_.tolist())) == {int, str}
    with pytest.raises(
        ValueError, match=r"^ITDA\.partial_fit: labels must have shape \(400, 2\), as those before"
    ):
        model.partial_fit(X, np.arange(400))
    with pytest.raises(ValueError, match=r"^ITDA\.fit: labels must all have one length"):
        model.fit(X, [(1,), (1, 2)] * 200)


def test_iterations_count_on(X):
    states = []
    model = ITDA(3, 0.2, batch_size=100, callback=states.append)
    model.partial_fit(X[:200]).partial_fit(X[200:])
    assert model.history_["iteration"].tolist() == [1, 2, 3, 4] == [state.iteration for state in states]
    assert model.fit(X[:100]).history_["iteration"].tolist() == [1]
