"""What may come in as an array, by every door: the answer that numpy's own array has, or one message."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from front_door import ARGUMENTS, ATOMS, DOORS, ESTIMATORS, FUNCTIONS, X, same

import latom

FORM = re.compile(r"[\w.]+: [\w. ,]+ must [^\n]+; got [^\n]+\. [A-Z][^\n]+\.?")
ml_dtypes = pytest.importorskip("ml_dtypes")


class DLPackOnly:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, array, device=(1, 0)):
        self._array, self._device = array, device

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._device


def refused(call, words, kind=(TypeError, ValueError)):
    with pytest.raises(kind) as error:
        call()
    text = str(error.value)
    assert FORM.fullmatch(text), text
    assert len(text) < 350, text
    assert re.search(words, text), text


# ---- what is taken

TAKEN = {
    "Fortran order": np.asfortranarray,
    "every other column": lambda A: np.repeat(A, 2, axis=-1)[..., ::2],
    "DLPack": DLPackOnly,
    "objects": lambda A: np.vectorize(lambda v: Decimal(str(v)), otypes=[object])(A),
    "an unused mask": lambda A: np.ma.masked_array(A, mask=False),
    "a list": lambda A: A.tolist(),
    "big endian": lambda A: A.astype(">f8"),
    "long double": lambda A: A.astype(np.longdouble),
}


@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize("door", DOORS)
def test_other_arrays_are_worth_the_same(door, kind):
    array, call = DOORS[door]
    assert same(call(TAKEN[kind](array)), call(array))


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("door", DOORS)
def test_half_precision_is_float32(door, kind):
    array, call = DOORS[door]
    half = array.astype(kind)
    assert same(call(half), call(half.astype(np.float32)))


def tensors(torch):
    """Tensors with the numbers of an array, or of the array in float32."""

    def negative(A):  # a view whose memory holds other numbers
        both = torch.stack([torch.zeros(A.shape, dtype=torch.float64), torch.tensor(-A)], dim=-1)
        return torch.view_as_complex(both).conj().imag

    return {
        "plain": torch.tensor,
        "requires grad": lambda A: torch.tensor(A, requires_grad=True),
        "a parameter": lambda A: torch.nn.Parameter(torch.tensor(A)),
        "an expression": lambda A: torch.tensor(A, requires_grad=True) * 1,
        "a negative bit": negative,
        "a transpose": lambda A: torch.tensor(np.ascontiguousarray(A.T)).permute(*range(A.ndim)[::-1]),
    }


def parts(result):
    return [part for each in result for part in parts(each)] if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("door", DOORS)
def test_tensors_are_worth_the_same(door):
    torch = pytest.importorskip("torch")
    array, call = DOORS[door]
    expected = call(array)
    for name, make in tensors(torch).items():
        tensor = make(array)
        result = call(tensor)
        assert same(result, expected), name
        assert not any(isinstance(part, torch.Tensor) for part in parts(result)), name
        assert isinstance(tensor, torch.Tensor)
    half = torch.tensor(array, dtype=torch.bfloat16, requires_grad=True)
    assert same(call(half), call(half.detach().float().numpy()))
    assert same(call(torch.tensor(array).half()), call(array.astype(np.float16)))


def layouts(torch):
    """Sparse tensors with the numbers of an array."""

    def twice(A):  # each entry in two halves
        coo = A.to_sparse()
        places = torch.cat([coo.indices()] * 2, dim=1)
        return torch.sparse_coo_tensor(
            places, torch.cat([coo.values() / 2] * 2), coo.shape, check_invariants=True
        )

    return {
        "torch.sparse_coo": lambda A: A.to_sparse(),
        "torch.sparse_coo, twice": twice,
        "torch.sparse_csr": lambda A: A.to_sparse_csr(),
        "torch.sparse_csc": lambda A: A.to_sparse_csc(),
    }


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state")
@pytest.mark.parametrize("door", [door for door, (array, _) in DOORS.items() if array.ndim == 2])
def test_sparse_tensors_are_worth_the_csr_that_they_are(door):
    torch = pytest.importorskip("torch")
    array, call = DOORS[door]
    try:
        expected = call(sp.csr_array(array))
    except TypeError as error:
        expected = error
    for name, make in layouts(torch).items():
        tensor = make(torch.tensor(array))
        if isinstance(expected, TypeError):
            words = rf"must be dense, not sparse; got a tensor of {name.split(',')[0]}\. .*to_dense"
            refused(lambda tensor=tensor: call(tensor), words, TypeError)
            continue
        assert same(call(tensor), expected), name
        assert same(
            call(tensor.to(torch.bfloat16)), call(sp.csr_array(tensor.to_dense().bfloat16().float().numpy()))
        )
    blocks = torch.tensor(np.ascontiguousarray(array[:2, :2])).to_sparse_bsr((2, 2))
    odd = r"must be (dense, not sparse|sparse as a matrix in .*); got a tensor of torch.sparse_bsr"
    for wrong, words in (
        (blocks, odd),
        (make(torch.tensor(array)).to("meta"), "must (lie in the memory of the CPU|be dense)"),
        (torch.tensor(array * 1j).to_sparse(), "must (hold real numbers; got dtype complex128|be dense)"),
    ):
        refused(lambda wrong=wrong: call(wrong), words, TypeError)


def test_indices_of_sparse_tensors_are_checked():
    torch = pytest.importorskip("torch")
    numbers, free = torch.ones(2, dtype=torch.float64), {"check_invariants": False}
    starts, wrong = torch.tensor([0, 1, 2]), torch.tensor([1, 7])
    for tensor, what in (
        (torch.sparse_csr_tensor(starts, wrong, numbers, (2, 6), **free), "X.*column"),
        (torch.sparse_csr_tensor(torch.tensor([0, 9, 2]), wrong, numbers, (2, 6), **free), "X.indptr"),
        (torch.sparse_csc_tensor(starts, wrong, numbers, (6, 2), **free), "X.indices"),
        (torch.sparse_coo_tensor(torch.stack([wrong * 0, wrong]), numbers, (2, 6), **free), "X.col"),
    ):
        if tensor.shape[1] == 6:
            refused(lambda tensor=tensor: latom.assign(tensor, ATOMS), what, ValueError)
        refused(lambda tensor=tensor: latom.NMF(1).fit(tensor), what, ValueError)


# ---- what is refused

HIDDEN = {
    "masked": (
        lambda A: np.ma.masked_array(A, mask=A.mean() < A),
        r"must not be masked; got an array with \d+ of",
    ),
    "DLPack on a GPU": (
        lambda A: DLPackOnly(A, (2, 0)),
        r"must lie in the memory of the CPU; got .* \(2, 0\)",
    ),
    "DLPack of complex numbers": (
        lambda A: DLPackOnly(A * 1j),
        "must hold real numbers; got dtype complex128",
    ),
    "a ragged list": (
        lambda _: [[1.0, 2], [3]],
        "must hold real numbers; got list that numpy makes no array",
    ),
    "a list of dicts": (lambda _: [[{}]], "must hold real numbers; got objects of type dict"),
    "a list of text": (lambda _: [["1.0"]], "must hold real numbers; got dtype <U3"),
}
ORDINARY = {
    "complex": (lambda A: A * 1j, "got dtype complex128"),
    "structured": (lambda A: np.zeros(A.shape, [("a", float)]), r"got dtype \[\('a', '<f8'\)\]"),
    "much structured": (
        lambda A: np.zeros(A.shape, [(f"field{i}", float) for i in range(99)]),
        r"got dtype \[.*\.\.\.",
    ),
    "void": (lambda A: np.zeros(A.shape, "V4"), r"got dtype \|V4"),
    "times": (lambda A: np.zeros(A.shape, "M8[s]"), "got dtype datetime64"),
    "text": (lambda A: A.astype(str), "got dtype <U"),
    "text as objects": (lambda A: A.astype(str).astype(object), "got text"),
    "huge ints": (lambda A: np.full(A.shape, 10**400, object), "got a number beyond those of float64"),
    "complex objects": (lambda A: np.full(A.shape, 1j, object), "got objects of type complex"),
    "float8": (lambda A: A.astype(ml_dtypes.float8_e4m3fn), "got dtype float8_e4m3fn"),
}


@pytest.mark.parametrize("kind", HIDDEN)
@pytest.mark.parametrize("door", DOORS)
def test_what_would_be_read_wrongly_is_refused_by_one_message(door, kind):
    array, call = DOORS[door]
    make, words = HIDDEN[kind]
    refused(lambda: call(make(array)), words)


@pytest.mark.parametrize("kind", ORDINARY)
@pytest.mark.parametrize("door", [door for door in DOORS if door[:-2] not in ESTIMATORS])
def test_what_is_no_real_number_is_refused_by_one_message(door, kind):
    """Of X of estimators scikit-learn says it in its own words."""
    array, call = DOORS[door]
    make, words = ORDINARY[kind]
    refused(lambda: call(make(array)), "must hold real numbers; " + words, TypeError)


@pytest.mark.parametrize("door", DOORS)
def test_tensors_without_real_numbers_in_reach_are_refused(door):
    torch = pytest.importorskip("torch")
    array, call = DOORS[door]
    tensor = torch.tensor(array)
    refused(lambda: call(tensor.to(torch.float8_e4m3fn)), "got a tensor of torch.float8_e4m3fn", TypeError)
    refused(lambda: call(tensor.cfloat()), "got dtype complex64", TypeError)
    refused(
        lambda: call(tensor.to("meta")), "must lie in the memory of the CPU; got a tensor on meta", TypeError
    )


@pytest.mark.parametrize("door", [f"{name} X" for name in FUNCTIONS])
def test_none_is_no_array(door):
    refused(lambda: DOORS[door][1](None), "X must hold real numbers; got None. Pass an array", TypeError)


@pytest.mark.parametrize("door", ARGUMENTS)
def test_sparse_matrices_are_no_vectors(door):
    array, call = ARGUMENTS[door]
    if array.ndim == 1:
        refused(
            lambda: call(sp.csr_array(array[None])), r"must be dense, not sparse; got csr_array", TypeError
        )


# ---- sparse matrices whose parts do not fit

SPARSE = {
    "assign": lambda A: latom.assign(A, np.eye(3)),
    "assign centers": lambda A: latom.assign(np.eye(3), A),
    "kmeans_plusplus": lambda A: latom.kmeans_plusplus(A, 1)[1],
    "coreset": lambda A: latom.coreset(A, 1),
    "KMeans": lambda A: latom.KMeans(1).fit(A),
    "KMeans init": lambda A: latom.KMeans(2, init=A).fit(np.eye(3)),
    "NMF": lambda A: latom.NMF(1).fit(A),
    "PointwiseFactorization": lambda A: latom.PointwiseFactorization(1).fit(A),
    "decode": lambda A: latom.decode(A, np.eye(3)),
    "inverse_transform": lambda A: latom.TopKEncoder(np.eye(3), 1).inverse_transform(A),
}


def broken(container=sp.csr_array, **parts):
    """A [2, 3] matrix of three entries, some of whose parts have been set to something else."""
    A = container(np.array([[1.0, 0, 2], [0, 3, 0]]))
    for part, value in parts.items():
        setattr(A, part, value)
    return A


csc, bsr, coo = (partial(broken, kind) for kind in (sp.csc_array, sp.bsr_array, sp.coo_matrix))
BROKEN = {
    "float indices": (
        broken(indices=np.array([0.0, 2, 1])),
        "indices must be a vector of integers; got float",
    ),
    "bool indices": (
        broken(indices=np.array([False, 1, 1]) > 0),
        "indices must be a vector of integers; got b",
    ),
    "listed indices": (broken(indices=[0, 2, 1]), "indices must be a vector of integers; got list"),
    "float indptr": (
        broken(indptr=np.array([0.0, 2, 3])),
        "indptr must be a vector of integers; got float64",
    ),
    "indptr as a row": (broken(indptr=np.array([[0, 2, 3]])), r"indptr must be a vector .* \(1, 3\)"),
    "data as a row": (broken(data=np.ones((1, 3))), "data must be a vector of numbers"),
    "complex data": (broken(data=np.ones(3) * 1j), "must hold real numbers; got dtype complex128"),
    "objects": (broken(data=np.ones(3, object)), "must hold real numbers; got dtype object"),
    "CSC out of range": (
        csc(indices=np.array([0, 2**30, 1])),
        r"indices must lie in \[0, 2\); got 1073741824",
    ),
    "CSC below 0": (csc(indices=np.array([0, -5, 1])), r"indices must lie in \[0, 2\); got -5"),
    "CSC too long": (csc(indptr=np.array([0, 1, 2, 99])), "indptr must rise from 0 to at most 3"),
    "CSC that falls": (csc(indptr=np.array([0, 2, 1, 3])), "indptr must rise from 0 to at most 3"),
    "CSC too narrow": (csc(indptr=np.array([0, 3])), r"indptr must have 4 entries, for shape \(2, 3\)"),
    "BSR out of range": (bsr(indices=np.array([0, 2**30, 1])), r"indices must lie in \[0, 3\)"),
    "COO out of range": (coo(row=np.array([0, 2**30, 1])), r"row must lie in \[0, 2\); got 1073741824"),
    "COO of two lengths": (coo(data=np.ones(2)), "row must have 2 entries, as data; got 3"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("door", SPARSE)
def test_sparse_parts_that_do_not_fit_are_refused_before_scipy_reads_them(door, kind):
    A, words = BROKEN[kind]
    refused(lambda: SPARSE[door](A), words)


class Named(sp.csr_matrix):
    """A subclass that scipy's own methods cannot make again."""

    def __init__(self, matrix, *, name):
        super().__init__(matrix)
        self.name = name


def test_sparse_matrices_of_other_types_are_worth_the_same():
    S = sp.csr_array(np.where(X > 0.5, X, 0))
    expected = latom.assign(S, ATOMS)
    big = S.copy()
    big.data = big.data.astype(">f8")
    odd = Named(S, name="odd")
    odd.indices = odd.indices.astype(np.uint16)
    for other in (
        big,
        odd,
        Named(S, name="plain"),
        S.tocsc(),
        S.tocoo(),
        S.tobsr((1, 1)),
        S.todok(),
        S.tolil(),
    ):
        assert same(latom.assign(other, ATOMS), expected), type(other)


# ---- numbers that are too large

LARGE = np.array([[1.3e110, 0], [-1.3e110, 0], [0, 1.3e110], [1.0, 1]])


@pytest.mark.parametrize("scale", [1.0, 1e-230])
@pytest.mark.parametrize(
    "call",
    [
        lambda A, w: latom.KMeans(2, random_state=0).fit(A, sample_weight=w),
        lambda A, w: latom.KMeans(2, random_state=0).partial_fit(A, sample_weight=w),
        lambda A, w: latom.KMeans(2, random_state=0).fit(A).score(A, sample_weight=w),
        lambda A, w: latom.MiniBatchKMeans(2, random_state=0).fit(A, sample_weight=w),
        lambda A, w: latom.kmeans_plusplus(A, 2, metric="euclidean", sample_weight=w),
        lambda A, w: latom.kmeans_parallel(A, 2, metric="euclidean", sample_weight=w),
        lambda A, w: latom.afkmc2(A, 2, metric="euclidean", sample_weight=w),
        lambda A, w: latom.coreset(A, 2, metric="euclidean", sample_weight=w),
    ],
)
def test_weighted_squares_stay_within_float64(call, scale):
    A = LARGE[:3] * scale
    heavy = np.full(3, 1e100 if scale == 1 else 1e-100)
    refused(
        lambda: call(A, heavy),
        r"sample_weight must be within \[1e-290, 1e290\] times squared lengths",
        ValueError,
    )
    call(A, np.full(3, 2.0))


def test_weights_of_any_size_are_taken_under_cosine():
    model = latom.SphericalKMeans(2, random_state=0).fit(LARGE, sample_weight=np.full(4, 1e100))
    assert np.isfinite(model.inertia_)


@pytest.mark.parametrize("rows", [3, 300])
@pytest.mark.parametrize("sign", [1, -1])
def test_scores_beyond_float32_are_refused(rows, sign):
    A = np.full((rows, 2), 1e30, np.float32)
    W = np.full((5000, 2), 1e30, np.float32) * np.float32(sign)
    W[:5] = 1
    words = "scores that float32 holds; got one beyond 3.4e38. Pass X or atoms as float64"
    least = 10 if sign > 0 else 5000  # the highest scores, or all
    refused(lambda: latom.topk(A, W, least), words, ValueError)
    refused(lambda: latom.above(A, W, -np.inf), words, ValueError)
    values, _ = latom.topk(A.astype(np.float64), W, least)
    assert np.isfinite(values).all()
    assert abs(values).max() > 1e60
