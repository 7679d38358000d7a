"""AtomIndex.topk against float64 scores of all pairs, summed in the same order: the results must be equal."""

from __future__ import annotations

import core
import numpy as np
import pytest
from oracle import topk_model

import latom

ACTIVATIONS = ["identity", "relu", "abs"]
METRICS = ["dot", "cosine", "euclidean"]
HALVES = {"float16": np.float16, "bfloat16": np.uint16}
NS, DS, MS = (
    [1, 2, 3, 6, 7, 13, 14, 15, 64, 65, 200],
    [1, 2, 3, 7, 16, 31, 33, 64, 100, 769],
    [1, 2, 31, 32, 33, 64, 65, 1000],
)


def screens():
    return ["auto", *core.kernels.tile_shape()[2]]


def stored(X, storage):
    """X as the core takes it, and the numbers that this holds."""
    if storage == "float16":
        half = X.astype(np.float16)
        return half.view(np.uint16), half.astype(np.float32)
    if storage == "bfloat16":
        upper = (np.ascontiguousarray(X, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return upper, (upper.astype(np.uint32) << 16).view(np.float32)
    return X, X


def check(X, atoms, k, *, bias=None, metric="dot", activation="identity", storage="", screen="auto",
          threads=2, packed=False, expected=None, note=""):  # fmt: skip
    """Runs the core and holds it to the model; returns what it counted."""
    raw, X = stored(X, storage)
    index = core.AtomIndex(atoms, bias, metric, screen, threads)
    if packed:
        index.pack(threads)
    values, indices, scored, overflowed = index.topk(raw, storage, k, activation, threads)
    if expected is None:
        expected = topk_model(X, atoms, k, bias, metric, activation)
    note = (
        f"{note} {X.shape} {atoms.shape} {k=} {metric} {activation} {storage} {screen} {threads=} {packed=}"
    )
    assert values.dtype == atoms.dtype, note
    assert indices.dtype == np.int32, note
    wrong = np.flatnonzero((indices != expected[1]).any(axis=1))
    assert len(wrong) == 0, f"{note}: indices of rows {wrong[:9]}"
    assert np.array_equal(values, expected[0]), f"{note}: values"
    return scored, overflowed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_shape(isa, dtype, rng):
    """Each n, d and m; k from 1 to m; metric, activation, bias, screen and threads in turn."""
    turn = int(rng.integers(1000))
    screen = screens()
    for m in MS:
        for at, d in enumerate(DS):
            atoms = rng.standard_normal((m, d)).astype(dtype)
            for n in [NS[(turn + i) % len(NS)] for i in (0, 3, 7)]:
                turn += 1
                X = rng.standard_normal((n, d)).astype(dtype)
                ks = sorted({k for k in (1, 2, m // 5, m // 4, m - 1, m) if 1 <= k <= m})
                metric = METRICS[turn % 3]
                bias = rng.standard_normal(m) if metric == "dot" and turn % 2 else None
                check(X, atoms, ks[turn % len(ks)], bias=bias, metric=metric,
                      activation=ACTIVATIONS[(turn // 3) % 3], screen=screen[turn % len(screen)],
                      threads=(1, 2, 5)[(turn + at) % 3], packed=turn % 4 == 0)  # fmt: skip


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("storage", ["", "float64", "float16", "bfloat16"])
def test_every_option(isa, storage, metric, rng):
    dtype = "float64" if storage == "float64" else "float32"
    storage = "" if storage == "float64" else storage
    for n, d, m, k in [(7, 33, 65, 3), (65, 100, 333, 8), (200, 16, 1000, 1), (15, 31, 400, 100)]:
        X = rng.standard_normal((n, d)).astype(dtype)
        atoms = rng.standard_normal((m, d)).astype(dtype)
        for bias in [None, rng.standard_normal(m)] if metric == "dot" else [None]:
            for activation in ACTIVATIONS:
                expected = topk_model(stored(X, storage)[1], atoms, k, bias, metric, activation)
                for screen in screens():
                    for threads in (1, 2, 5):
                        scored, overflowed = check(
                            X,
                            atoms,
                            k,
                            bias=bias,
                            metric=metric,
                            activation=activation,
                            storage=storage,
                            screen=screen,
                            threads=threads,
                            expected=expected,
                        )
                        assert overflowed == 0
                        assert scored < n * m / 2 or n < 7 or 4 * k > m, "the screen discards nothing"


def hard(rng, dtype):
    """(name, X, atoms, bias) that ties, cancels, overflows a float32 or underflows one."""
    n, d, m = 40, 48, 700
    normal = rng.standard_normal
    X, W = normal((n, d)), normal((m, d))
    yield "rows equal", np.tile(X[:1], (n, 1)), W, None
    yield "atoms equal", X, np.tile(W[:1], (m, 1)), None
    yield "two distinct atoms", X, W[np.arange(m) % 2], None
    yield "atoms twice", X, np.concatenate([W[: m // 2], W[: m // 2]]), None
    yield "rows are atoms", W[:n], W, None
    rising = np.outer(np.arange(1, m + 1), np.ones(d)) / m
    yield "rising scores", np.abs(X), rising, None
    yield "falling scores", np.abs(X), rising[::-1], None
    huge = W.copy()
    huge[m // 3] *= 1e15
    yield "one huge atom", X, huge, None
    top = 20 if dtype == "float32" else 140
    tail = 10.0 ** rng.uniform(-top, top, (m, 1))
    yield "heavy-tailed atoms", X, W * tail, None
    yield "heavy-tailed rows", X * 10.0 ** rng.uniform(-top, top, (n, 1)), W, None
    short = 10.0 ** rng.uniform(-top, top, (n, 1)) / (1 if dtype == "float32" else 1e3)
    yield "heavy-tailed both", X * short, W * tail, None
    yield (
        "heavy-tailed numbers",
        X * 10.0 ** rng.integers(-9, 9, (n, d)),
        W * 10.0 ** rng.integers(-9, 9, (m, d)),
        None,
    )
    if dtype == "float32":
        for scale in (1e-37, 1e-39, 1e-41, 3e-45):
            yield f"rows of {scale}", X * scale, W, None
            yield f"atoms of {scale}", X, W * scale, None
            yield f"both of {scale}", X * scale, W * scale, None
            yield f"rows of {scale} with biases", X * scale, W, normal(m) * scale
            yield (
                f"rows of {scale} with mixed biases",
                X * scale,
                W,
                normal(m) * 10.0 ** rng.uniform(-60, 0, m),
            )
        yield "largest", X * 3e37, W * 3e37, None
    else:
        for scale in (1e-143, 1e-100, 1e100, 1e142):
            yield f"rows of {scale}", X * scale, W, None
            yield f"atoms of {scale}", X, W * scale, None
            yield f"both of {scale}", X * scale, W * scale, None
            yield f"rows of {scale} with biases", X * scale, W, normal(m) * scale
        yield "close in float64", X, W[:1] + 1e-15 * rng.integers(-9, 9, (m, d)), None
    zero_rows, zero_atoms = X.copy(), W.copy()
    zero_rows[::3], zero_atoms[::5] = 0, -0.0
    yield "zero rows and atoms", zero_rows, zero_atoms, None
    yield "zero rows and biases", zero_rows, zero_atoms, normal(m)
    yield "zero atoms among tiny ones", X, zero_atoms * 1e-33, None
    yield "all zero", X * 0, W * 0, None
    yield "all zero with biases", X * 0, W * 0, rng.integers(-3, 4, m).astype(float)
    yield "biases dwarf", X, W, 1e12 * normal(m)
    yield "equal biases dwarf", X, W, np.full(m, 1e6)
    yield "biases of all sizes", X, W, normal(m) * 10.0 ** rng.uniform(-40, 3, m)
    yield "biases out of float32", X, W, normal(m) * 1e200
    yield "largest biases", X, W, np.where(np.arange(m) % 7, 1.7e308, -1.7e308)
    yield "tiny rows, tiny biases", X * 1e-30, W, normal(m) * 10.0 ** rng.uniform(-75, -20, m)
    yield "biases cancel", X, W, -(X[:1].astype(dtype).astype(float) @ W.astype(dtype).astype(float).T)[0]
    signs = np.where(np.arange(d) % 2, 1, -1)
    yield "cancelling sums", 1e6 + X * 1e-2, signs * (1e6 + W * 1e-2), None
    yield "one-hot rows", np.eye(d)[rng.integers(0, d, n)], W, None
    yield "one-hot atoms", X, np.eye(d)[rng.integers(0, d, m)], None
    yield "constant rows", np.ones((n, d)) * normal((n, 1)), W, None
    yield "integers", rng.integers(-2, 3, (n, d)), rng.integers(-2, 3, (m, d)), None
    yield "negative scores", np.abs(X), -np.abs(W), None
    one = W[:1].astype(dtype)
    yield "last bits", X, one + np.spacing(np.abs(one)) * rng.integers(-1, 2, (m, d)), None


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_hard_cases(isa, dtype, rng):
    for name, X, W, bias in hard(rng, dtype):
        X, W = (np.ascontiguousarray(np.asarray(v, np.float64), dtype) for v in (X, W))
        for turn, (k, activation) in enumerate([(1, "identity"), (20, "relu"), (7, "abs"), (7, "identity")]):
            metrics = ["dot"] if bias is not None else [METRICS[turn % 3], "dot"]
            for metric in metrics:
                expected = topk_model(X, W, k, bias, metric, activation)
                for screen in screens()[1:]:
                    check(X, W, k, bias=bias, metric=metric, activation=activation, screen=screen,
                          threads=1 + turn % 2, expected=expected, note=name)  # fmt: skip


def coarse_case(name, rng, n, d, m):
    X, W = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    if name == "far from the origin":
        X, W = X + 40, W + 40
    if name in ("near ties", "near ties, but not among the first rows"):
        W[: m // 2] = W[0] * (1 + 1e-4 * rng.standard_normal((m // 2, d)))
        easy = 40 if name != "near ties" else 0
        X[easy::2] = W[0] + 0.1 * X[easy::2]
    if name == "ties":
        W[::2] = W[0]
        X[1::2] = W[0]
    if name == "one huge atom":
        W[m // 3] *= 1e6
    if name == "heavy tails":
        X, W = X * np.exp(3 * rng.standard_normal(X.shape)), W * np.exp(3 * rng.standard_normal(W.shape))
    if name == "zero rows":
        X[::3] = W[::5] = 0
    return X, W


COARSE = [
    "ordinary",
    "far from the origin",
    "near ties",
    "near ties, but not among the first rows",
    "ties",
    "one huge atom",
    "heavy tails",
    "zero rows",
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", COARSE)
def test_many_rows_and_atoms(name, dtype, rng, isa):
    """Where 8 bits come first, if the variant has them; twice, as the first call decides for later ones."""
    n, d, m, k = 300, 40, 2500, 9
    X, W = (v.astype(dtype) for v in coarse_case(name, rng, n, d, m))
    for metric, bias, activation in (
        ("dot", None, "identity"),
        ("dot", rng.standard_normal(m), "abs"),
        ("cosine", None, "relu"),
        ("euclidean", None, "identity"),
    ):
        expected = topk_model(X, W, k, bias, metric, activation)
        few = core.AtomIndex(W, bias, metric, "auto", 2)
        few.pack(2)
        for n_rows in (1, 3, 17, 64, 17, 3, 3, 3, 3, 3):
            values, indices, *_ = few.topk(X[-n_rows:], "", k, activation, 2)
            assert np.array_equal(indices, expected[1][-n_rows:]), (metric, n_rows)
            assert np.array_equal(values, expected[0][-n_rows:]), (metric, n_rows)
        index = core.AtomIndex(W, bias, metric, "auto", 2)
        for _ in range(2):
            values, indices, *_ = index.topk(X, "", k, activation, 2)
            assert np.array_equal(indices, expected[1]), metric
            assert np.array_equal(values, expected[0]), metric


def test_eight_bits_score_little_more_and_are_given_up_where_they_would(rng):
    if "int8" not in screens():
        pytest.skip("this processor has no products of int8")
    W = rng.standard_normal((4096, 64)).astype(np.float32)
    X = rng.standard_normal((1000, 64)).astype(np.float32)
    for offset, coarse in ((0, True), (40, False)):
        scored, fine = (
            core.AtomIndex(W + offset, None, "dot", screen, 2).topk(X + offset, "", 8, "identity", 2)[2]
            for screen in ("auto", "int16")
        )
        assert (scored > fine) == coarse, (offset, scored, fine)
        assert scored < 1000 * (8 + 4096 // 128)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_unlike_those_decided_first(isa, dtype, metric, rng):
    """The k best of the rows that are decided first, 28 spread evenly, score more than those of others."""
    n, d, m, k = 500, 40, 2100, 7
    first = np.arange(28) * n // 28
    atoms = rng.standard_normal((m, d)).astype(dtype)
    for name in ("some", "most", "all"):
        X = atoms[rng.integers(m, size=n)] + 0.3 * rng.standard_normal((n, d))  # each near an atom
        others = np.setdiff1d(np.arange(n), first)
        if name == "some":
            others = others[rng.random(len(others)) < 0.05]
        if name == "most":
            others = others[rng.random(len(others)) < 0.6]
        X[others] = rng.standard_normal((len(others), d))  # near none
        if name == "all":
            X[first] = np.repeat(atoms[:1], 28, axis=0) * 50
            X[others[::9]] = 0
        X = X.astype(dtype)
        bias = rng.standard_normal(m) * 9 if metric == "dot" and name != "some" else None
        for activation in ("identity", "abs") if metric != "euclidean" else ("identity",):
            for screen in ("auto", screens()[1]):
                scored, overflowed = check(X, atoms, k, bias=bias, metric=metric, activation=activation,
                                        screen=screen, threads=2, note=name)  # fmt: skip
                zero = int((~X.any(axis=1)).sum())  # all atoms tie
                assert overflowed <= zero
                assert scored < (n + 8 * zero) * m / 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lengths_found_on_the_way(isa, dtype, rng):
    """A call that reads the atoms once guesses their scale from a few: others may be far longer."""
    X, W = rng.standard_normal((40, 33)).astype(dtype), rng.standard_normal((2000, 33)).astype(dtype)
    for longest in (1.0, 1e6, 1e17, 1e25 if dtype == "float32" else 1e120):
        for j in rng.integers(0, 2000, 4):
            atoms = W.copy()
            atoms[j] *= longest
            atoms[(j + 7) % 2000] /= longest
            for activation in ("identity", "abs"):
                check(X, atoms, 9, activation=activation, threads=2, note=f"{longest} {j}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_scale_guessed_far_too_low(isa, dtype, rng):
    """A call that reads the atoms once samples 64 of them: here the short ones, and all others overflow."""
    m = 4096
    sampled = np.arange(m) % (m // 64) == 0
    W = rng.standard_normal((m, 32))
    W = np.where(sampled[:, None], W * 1e-10, W * (1e18 if dtype == "float32" else 1e120)).astype(dtype)
    X = rng.standard_normal((60, 32)).astype(dtype)
    for screen in screens():
        check(X, W, 5, screen=screen, threads=1)
        check(X, W, 5, screen=screen, threads=2, activation="abs")


def test_biases_beyond_all_products(isa, rng):
    """Of float64: no product of scales is a number any more."""
    W, X = rng.standard_normal((4096, 32)), rng.standard_normal((200, 32))
    for size in (1.0, 1e-14, 3e15, 1e100):
        for sign in (1, -1):
            bias = sign * 1e307 * rng.uniform(1, 2, 4096)
            for screen in screens():
                check(X * size, W, 20, bias=bias, screen=screen)
            threshold = float(np.sort(bias)[-21])
            assert latom.above(X * size, W, threshold, bias=bias).nnz == 4000


def test_overflowed_rows_are_counted_and_exact(isa, rng):
    """More atoms within the bound of the k-th best than candidates are kept."""
    X = rng.standard_normal((50, 20)).astype(np.float32)
    W = np.tile(rng.standard_normal((1, 20)).astype(np.float32), (2000, 1))
    X[::2] = 0
    W[1777] *= 2
    for threads in (1, 2, 5):
        scored, overflowed = check(X, W, 3, threads=threads)
        assert overflowed == 50
        assert scored >= 50 * 2000
    assert check(rng.standard_normal((50, 20)), rng.standard_normal((2000, 20)), 3)[1] == 0


def test_few_rows_give_the_same_bits_screened_and_not(isa, rng):
    for dtype in ("float32", "float64"):
        X, W = (rng.standard_normal((rows, 100)).astype(dtype) for rows in (6, 3000))
        for metric in METRICS:
            for screen in screens():
                plain = check(X, W, 9, metric=metric, screen=screen)
                packed = check(X, W, 9, metric=metric, screen=screen, packed=True)
                assert plain[0] == 6 * 3000
                assert packed[0] < 6 * 300, "the packed index went through all atoms"


def test_rows_do_not_depend_on_their_block(isa, rng):
    """Blocks of 64 to 1024 rows, cut by the number of threads; slices of atoms for few rows."""
    X, W = (
        rng.standard_normal((2300, 12)).astype(np.float32),
        rng.standard_normal((300, 12)).astype(np.float32),
    )
    expected = topk_model(X, W, 5)
    for threads in (1, 2, 5, 33):
        check(X, W, 5, threads=threads, expected=expected)
        for n in (8, 70, 200):
            check(X[:n], W, 5, threads=threads, expected=[part[:n] for part in expected])


def test_scores_of_which_few_are_far_above_the_others_do_not_overflow(rng):
    atoms = rng.random((3000, 24)).astype(np.float32) * np.arange(1, 3001, dtype=np.float32)[:, None] ** -1.2
    X = rng.random((200, 24)).astype(np.float32)
    _, indices, stats = latom.topk(X, atoms, 40, return_stats=True)
    assert stats["overflowed"] == 0
    scores = X.astype(float) @ atoms.T.astype(float)
    assert (indices == np.argsort(-scores, axis=1, kind="stable")[:, :40]).all()
