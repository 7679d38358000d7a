"""Rows from codes, and what factorizations say of arrays that they refuse: by one rule and one form."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom

X = np.random.default_rng(0).random((12, 7))
NAN = X.copy()
NAN[3, 2] = np.nan
NEGATIVE = X.copy()
NEGATIVE[4, 1] = -2.5
FITTED = {
    "NMF": latom.NMF(3, random_state=0, tol=0.1).fit(X),
    "MiniBatchNMF": latom.MiniBatchNMF(3, random_state=0, tol=0.1).fit(X),
    "SemiNMF": latom.SemiNMF(3, random_state=0, tol=0.1).fit(X),
    "TruncatedSVD": latom.TruncatedSVD(3, random_state=0).fit(X),
    "AlternatingLeastSquares": latom.AlternatingLeastSquares(3, dtype=np.float64, random_state=0).fit(X),
    "MatrixCompletion": latom.MatrixCompletion(3, random_state=0).fit(X),
    "MatrixCompletion without bias": latom.MatrixCompletion(3, fit_bias=False, random_state=0).fit(X),
}


@pytest.mark.parametrize("name", FITTED)
def test_codes_of_any_kind_give_the_same_rows_in_floats(name):
    model = FITTED[name]
    codes = np.arange(1, 1 + 2 * model._n_features_out).reshape(2, -1)
    wanted = codes[:, :3] @ model.components_
    if codes.shape[1] == 4:
        wanted = wanted + codes[:, 3:] + model.mean_ + model.column_bias_
    for given in (codes, codes.tolist(), codes.astype(float), sp.csr_array(codes), sp.coo_matrix(codes)):
        rows = model.inverse_transform(given)
        assert type(rows) is np.ndarray
        assert rows.dtype == np.float64
        assert np.allclose(rows, wanted, rtol=1e-12)
    assert np.allclose(model.inverse_transform(codes.astype(np.float16)), wanted, rtol=1e-5)


@pytest.mark.parametrize("name", FITTED)
def test_codes_of_another_width_are_refused_by_one_message(name):
    model = FITTED[name]
    own = f"{name.split()[0]}.inverse_transform: "
    for width in (1, 2, 5):
        for container in (np.asarray, sp.csr_array):
            with pytest.raises(
                ValueError, match="X must have a column for each of the 3 components"
            ) as error:
                model.inverse_transform(container(np.ones((2, width))))
            assert str(error.value).startswith(own)
            assert str(error.value).endswith(f"; got {width}. Pass what transform returns.")
    with pytest.raises(ValueError, match=own + "X must have two dimensions"):
        model.inverse_transform(np.ones(3))
    with pytest.raises(TypeError, match=own + "X must hold real numbers"):
        model.inverse_transform([["a", "b", "c"]])


NEGATIVES = {
    "NMF": lambda A: latom.NMF(2).fit(A),
    "MiniBatchNMF": lambda A: latom.MiniBatchNMF(2).fit(A),
    "FastRP": lambda A: latom.FastRP(2).fit(A[:7]),
    "PMIFactorization": lambda A: latom.PMIFactorization(2).fit(A),
    "ConsensusNMF": lambda A: latom.ConsensusNMF(2).fit(A),
    "PointwiseFactorization": lambda A: latom.PointwiseFactorization(2).fit(A),
    "select_n_components": lambda A: latom.select_n_components(A, [2]),
}


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("name", NEGATIVES)
def test_the_number_below_0_and_its_row_are_shown(name, container):
    with pytest.raises(ValueError, match=rf"^{name}\S*: X must not be negative.*; got -2.5 in row 4\. \w"):
        NEGATIVES[name](container(NEGATIVE))


@pytest.mark.parametrize("cls", [latom.NMF, latom.MiniBatchNMF, latom.TruncatedSVD, latom.PMIFactorization])
def test_messages_name_the_method_that_was_called(cls):
    for method in ("fit", "fit_transform"):
        with pytest.raises(ValueError, match=rf"^{cls.__name__}\.{method}: n_components must"):
            getattr(cls(-1), method)(X)


def test_masks_are_to_become_what_is_missing():
    """Zeros in their place would count as observed."""
    masked = np.ma.masked_array(X, X > 0.8)
    for cls in (latom.MatrixCompletion, latom.LowRankImputer, latom.NMF):
        with pytest.raises(TypeError, match=r"Fill them .*: X\.astype\(float\)\.filled\(numpy\.nan\)"):
            cls(2).fit(masked)
        cls(2, random_state=0).fit(masked.astype(float).filled(np.nan))
    for cls in (latom.TruncatedSVD, latom.SemiNMF, latom.AlternatingLeastSquares):
        with pytest.raises(TypeError, match=r"for example with X\.filled\(0\)"):
            cls(2).fit(masked)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_nan_is_refused_in_words_of_this_library(container):
    for model in (latom.AlternatingLeastSquares(2), latom.MatrixCompletion(2)):
        if container is np.asarray and isinstance(model, latom.MatrixCompletion):
            continue
        with pytest.raises(ValueError, match="NaN") as error:
            model.fit(container(NAN))
        assert str(error.value).startswith(f"{type(model).__name__}.fit: X must")
        assert "HistGradientBoosting" not in str(error.value)
