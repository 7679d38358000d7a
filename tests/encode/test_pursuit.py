"""Matching pursuit, plain and orthogonal, against plain loops and scikit-learn."""

from __future__ import annotations

import warnings

import core
import numpy as np
import plain_pursuit as plain
import pytest
import scipy.sparse as sp
from sklearn.linear_model import orthogonal_mp

import latom
from latom import _core

SHAPES = [(5, 3, 1), (7, 16, 4), (17, 33, 9), (64, 130, 12), (40, 15, 15)]  # d, m, steps


def problem(rng, n, d, m, dtype="float64"):
    atoms = rng.standard_normal((m, d))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return rng.standard_normal((n, d)).astype(dtype), atoms.astype(dtype)


def omp(X, atoms, **limits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        columns = atoms.T.astype(np.float64), X.T.astype(np.float64)
        return orthogonal_mp(*columns, **limits).T.reshape(len(X), -1)


@pytest.mark.parametrize(("d", "m", "steps"), SHAPES)
def test_omp_is_scikit_learns(d, m, steps, rng):
    X, atoms = problem(rng, 19, d, m)
    codes = latom.orthogonal_matching_pursuit(X, atoms, steps)
    assert codes.has_canonical_format
    assert np.abs(codes.toarray() - omp(X, atoms, n_nonzero_coefs=steps)).max() < 1e-8
    for tol in (0.5 * d, 0.1 * d, 1e-3):
        codes = latom.orthogonal_matching_pursuit(X, atoms, tol=tol)
        assert np.abs(codes.toarray() - omp(X, atoms, tol=tol)).max() < 1e-8
    defaults = latom.orthogonal_matching_pursuit(X, atoms).toarray()
    assert np.abs(defaults - omp(X, atoms)).max() < 1e-8


def test_tol_replaces_the_number_of_atoms_as_in_scikit_learn(rng):
    X, atoms = problem(rng, 9, 20, 40)
    one = latom.orthogonal_matching_pursuit(X, atoms, 1, tol=1.0)
    assert np.abs(one.toarray() - omp(X, atoms, n_nonzero_coefs=1, tol=1.0)).max() < 1e-8
    assert (np.diff(one.indptr) > 1).all()
    assert (np.diff(latom.matching_pursuit(X, atoms, tol=1e9).indptr) == 1).all()  # never none


def test_atoms_of_other_lengths_and_scales(rng):
    X, atoms = problem(rng, 12, 15, 30)
    atoms *= rng.uniform(0.5, 3, (30, 1))
    want = omp(X, atoms, n_nonzero_coefs=5)
    for x_scale, scale in ((1, 1), (1e-3, 1), (2.0**90, 2.0**-90), (1e120, 1e-120)):
        codes = latom.orthogonal_matching_pursuit(X * x_scale, atoms * scale, 5).toarray()
        assert np.allclose(codes * scale / x_scale, want, rtol=1e-9, atol=1e-11)
    f32 = latom.matching_pursuit(X.astype(np.float32) * np.float32(1e30), atoms.astype(np.float32) * 1e4, 5)
    assert np.allclose(f32.toarray() / 1e26, plain.all_rows(X, atoms, 5), atol=1e-4)


@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_pursuit_is_the_plain_loop(dtype, positive, repeat, rng):
    for d, m, steps in SHAPES:
        X, atoms = problem(rng, 11, d, m, dtype)
        codes = latom.matching_pursuit(X, atoms, steps, positive=positive, repeat=repeat)
        want = plain.all_rows(X, atoms, steps, positive=positive, repeat=repeat)
        assert codes.dtype == dtype
        assert ((codes.toarray() != 0) == (want != 0)).all()
        assert np.abs(codes.toarray() - want).max() < (1e-5 if dtype == "float32" else 1e-9)
        if positive:
            assert (codes.data > 0).all()
        X = X[:4]
        codes = latom.matching_pursuit(X, atoms, tol=0.3 * d, positive=positive, repeat=repeat)
        want = plain.all_rows(X, atoms, 0, positive=positive, repeat=repeat, tol=0.3 * d)
        assert np.abs(codes.toarray() - want).max() < 1e-4


def test_float32_takes_the_atoms_of_float64(rng):
    """Many atoms that differ in the last bits of float32: only float64 can tell which is nearest."""
    base = rng.standard_normal((3, 24))
    atoms = np.repeat(base, 40, axis=0) * (1 + 1e-6 * rng.standard_normal((120, 24)))
    atoms = (atoms / np.linalg.norm(atoms, axis=1, keepdims=True)).astype(np.float32)
    X = (rng.standard_normal((40, 3)) @ base).astype(np.float32)
    for orthogonal, run in ((False, latom.matching_pursuit), (True, latom.orthogonal_matching_pursuit)):
        want = plain.all_rows(X, atoms, 1, orthogonal=orthogonal)
        codes = run(X, atoms, 1)
        assert (codes.indices == np.abs(want).argmax(axis=1)).all()


@pytest.mark.parametrize("orthogonal", [True, False])
def test_near_ties_after_steps_are_decided_as_without_a_gram_matrix(orthogonal, rng):
    """Twelve of each direction, too near for 16 bits of a Gram matrix: what it is off by must be covered."""
    base = rng.standard_normal((30, 24))
    atoms = np.repeat(base / np.linalg.norm(base, axis=1, keepdims=True), 12, axis=0)
    atoms = (atoms + 3e-5 * rng.standard_normal(atoms.shape)).astype(np.float32)
    X = rng.standard_normal((400, 24)).astype(np.float32)
    found = []
    for gram in ("always", "never"):
        dictionary = core.Dictionary(core.context(), atoms, False, gram)
        found.append(dictionary.pursue(core.context(), core.rows(X), 8, orthogonal=orthogonal))
    for part, same in zip(*found, strict=True):
        assert part.tobytes() == same.tobytes()


def test_ties_go_to_the_lowest_atom(rng):
    atoms = np.tile(np.eye(4), (3, 1))[:, [2, 0, 1, 3]]
    X = rng.integers(-5, 6, (30, 4)).astype(np.float64)
    for run in (latom.matching_pursuit, latom.orthogonal_matching_pursuit):
        codes = run(X, atoms, 4).toarray()
        assert np.array_equal(codes @ atoms, X)
        assert not codes[:, 4:].any()
    tied = latom.matching_pursuit(np.array([[1.0, -1, 1, 1]]), np.eye(4), 1)
    assert tied.indices.tolist() == [0]


@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_everywhere(dtype, orthogonal, rng):
    """For every instruction set, number of threads, rows beside, and with or without a Gram matrix."""
    X, atoms = problem(rng, 150, 37, 90, dtype)
    atoms[50] = atoms[7]
    found = []
    before = _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for gram in ("always", "never", "auto"):
                dictionary = core.Dictionary(core.context(), atoms, False, gram)
                for threads in (1, 2, 5):
                    context = core.context(n_threads=threads)
                    found.append(dictionary.pursue(context, core.rows(X), 9, orthogonal=orthogonal))
    finally:
        _core.set_isa(before)
    for other in found[1:]:
        for part, same in zip(other, found[0], strict=True):
            assert part.tobytes() == same.tobytes()
    run = latom.orthogonal_matching_pursuit if orthogonal else latom.matching_pursuit
    whole = run(X, atoms, 9)
    for i in (0, 63, 64, 149):
        alone = run(X[i : i + 1], atoms, 9)
        assert alone.data.tobytes() == whole[[i]].data.tobytes()
        assert (alone.indices == whole[[i]].indices).all()


@pytest.mark.parametrize("gram", ["always", "never"])
def test_the_core_tells_what_is_left(gram, rng):
    X, atoms = problem(rng, 70, 21, 60, "float32")
    dictionary = core.Dictionary(core.context(), atoms, False, gram)
    cases = {"orthogonal": True}, {"positive": True}, {"repeat": False}, {"tol": 0.4, "relative": True}
    for options in cases:
        indptr, indices, values, error = dictionary.pursue(core.context(), core.rows(X), 6, **options)
        codes = sp.csr_array((values, indices, indptr), shape=(70, 60))
        left = X - codes.astype(np.float64) @ atoms.astype(np.float64)
        assert np.allclose(error, (left**2).sum(axis=1), rtol=1e-5, atol=1e-6)
        if "tol" in options:
            short = np.diff(indptr) < 6
            assert short.any()
            assert (error[short] <= 0.4 * (X[short].astype(np.float64) ** 2).sum(axis=1) * (1 + 1e-9)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_planted_codes_are_recovered(dtype, rng):
    _, atoms = problem(rng, 1, 100, 200, dtype)
    planted = np.zeros((60, 200))
    for row in planted:
        row[rng.permutation(200)[:5]] = rng.choice([-1, 1], 5) * rng.uniform(1, 2, 5)
    X = (planted @ atoms.astype(np.float64)).astype(dtype)
    codes = latom.orthogonal_matching_pursuit(X, atoms, 5).toarray()
    right = ((codes != 0) == (planted != 0)).all(axis=1)
    assert right.mean() > 0.9  # greedy choices may fail; where they do not, values are exact
    assert np.abs(codes[right] - planted[right]).max() < (1e-5 if dtype == "float32" else 1e-12)
    more = latom.orthogonal_matching_pursuit(X, atoms, 8)  # nothing is left to take
    assert (np.diff(more.indptr)[right] == 5).all()


@pytest.mark.parametrize("gram", ["always", "never"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_residual_below_the_rounding_of_the_screen(dtype, gram, rng):
    """Each atom adds a twentieth of the one before: soon 16 bits of the row cannot tell any apart."""
    _, atoms = problem(rng, 1, 48, 300, dtype)
    steps = 3 if dtype == "float32" else 6  # a row of float32 ends where products are below 3e-4 of it
    X = np.zeros((30, 48))
    for row in X:
        row += 20.0 ** -np.arange(steps) @ atoms[rng.permutation(300)[:steps]].astype(np.float64)
    X = X.astype(dtype)
    for orthogonal in (True, False):
        dictionary = core.Dictionary(core.context(), atoms, False, gram)
        found = dictionary.pursue(core.context(), core.rows(X), steps, orthogonal=orthogonal)
        codes = sp.csr_array((found[2], found[1], found[0]), shape=(30, 300)).toarray()
        want = plain.all_rows(X, atoms, steps, orthogonal=orthogonal)
        assert ((codes != 0) == (want != 0)).all()
        assert np.abs(codes - want).max() < (1e-5 if dtype == "float32" else 1e-10)


@pytest.mark.parametrize("m", [127, 128, 129, 160])
@pytest.mark.parametrize("gram", ["always", "never"])
def test_atoms_of_few_numbers_at_the_ends_of_blocks(gram, m, rng):
    """Atoms with one number other than 0, or two: 16 bits would cut off what is scaled too far up."""
    atoms = np.zeros((m, 40))
    atoms[np.arange(m), rng.integers(0, 40, m)] = rng.uniform(0.4, 1.6, m)
    atoms[np.arange(m), rng.integers(0, 40, m)] -= 0.3
    X = rng.standard_normal((20, 40))
    X[:, 3] *= 50
    for options in ({"orthogonal": True}, {"repeat": False}, {"positive": True}):
        dictionary = core.Dictionary(core.context(), atoms, False, gram)
        indptr, indices, values, _ = dictionary.pursue(core.context(), core.rows(X), 6, **options)
        codes = sp.csr_array((values, indices, indptr), shape=(20, m)).toarray()
        assert np.abs(codes - plain.all_rows(X, atoms, 6, **options)).max() < 1e-8


def test_longer_atoms_may_come_later(rng):
    X, atoms = problem(rng, 40, 24, 60)
    rows = X[::-1] + X
    dictionary = core.Dictionary(core.context(), 1e-3 * atoms, True, "always")
    dictionary.pursue(core.context(), core.rows(X), 3)  # makes the Gram matrix of short ones
    for chosen in (np.arange(5), np.arange(5, 40)):
        dictionary.adopt(core.context(), core.rows(X), chosen)
        known = dictionary.atoms(core.context())
        found = dictionary.pursue(core.context(), core.rows(rows), 5, orthogonal=True)
        codes = sp.csr_array((found[2], found[1], found[0]), shape=(40, len(known))).toarray()
        want = plain.all_rows(rows, known, 5, orthogonal=True)
        assert np.allclose(codes @ known, want @ known, atol=1e-8)


def test_rows_of_zeros_and_dependent_atoms():
    X = np.array([[0.0, 0, 0], [1, 2, 3], [0, 0, 4]])
    atoms = np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    for run in (latom.matching_pursuit, latom.orthogonal_matching_pursuit):
        codes = run(X, atoms, 4).toarray()
        assert not codes[0].any()
        assert not codes[2].any()
        assert np.isfinite(codes).all()
    assert np.allclose(latom.orthogonal_matching_pursuit(X, atoms, 4).toarray() @ atoms, X * [1, 1, 0])
    assert not latom.matching_pursuit(X, np.zeros((2, 3)), 1).nnz


def test_containers_and_half_precision(rng):
    X, atoms = problem(rng, 12, 10, 20, "float32")
    half = X.astype(np.float16)
    want = latom.matching_pursuit(half.astype(np.float32), atoms, 3)
    for given in (half, np.asfortranarray(half.astype(np.float32)), half.reshape(3, 4, 10)):
        codes = latom.matching_pursuit(given, atoms, 3)
        assert codes.dtype == np.float32
        assert codes.data.tobytes() == want.data.tobytes()
    assert latom.matching_pursuit(half, atoms.astype(np.float64), 3).dtype == np.float64
    torch = pytest.importorskip("torch")
    tensor = latom.matching_pursuit(torch.from_numpy(half), atoms, 3, output="torch")
    assert np.array_equal(tensor.to_dense().numpy(), want.toarray())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_nonzero_coefs": 0}, "n_nonzero_coefs must be"),
        ({"n_nonzero_coefs": 2.5}, "n_nonzero_coefs must be"),
        ({"tol": -1}, "tol must be"),
        ({"tol": np.nan}, "tol must be"),
        ({"n_threads": 0}, "n_threads must be"),
        ({"atoms": np.ones((4, 3))}, "X must have as many columns as the atoms, 3; got 6"),
        ({"atoms": np.full((4, 6), np.inf)}, "atoms must be finite"),
        ({"X": np.full((2, 6), np.nan)}, "X must be finite"),
        ({"X": np.ones(6)}, "X must have two dimensions"),
        ({"output": "jax"}, "output must be"),
    ],
)
@pytest.mark.parametrize("name", ["matching_pursuit", "orthogonal_matching_pursuit"])
def test_wrong_arguments_are_refused(name, arguments, words):
    given = {"X": np.ones((2, 6)), "atoms": np.eye(6)} | arguments
    with pytest.raises(ValueError, match=f"^{name}: {words}"):
        getattr(latom, name)(**given)


def test_more_is_refused():
    with pytest.raises(ValueError, match=r"n_nonzero_coefs must be an integer in \[1, 6\]; got 7"):
        latom.orthogonal_matching_pursuit(np.ones((2, 6)), np.eye(6), 7)
    with pytest.raises(TypeError, match="X"):
        latom.matching_pursuit(sp.csr_array(np.eye(6)), np.eye(6), 1)
    tiny = np.eye(6, dtype=np.float32) * 1e-20
    with pytest.raises(ValueError, match="coefficients that float32 holds"):
        latom.matching_pursuit(np.full((1, 6), 1e25, np.float32), tiny, 1)
    with pytest.raises(ValueError, match="positive must be True or False"):
        latom.matching_pursuit(np.eye(6), np.eye(6), 1, positive="yes")
