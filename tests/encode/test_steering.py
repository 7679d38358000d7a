"""steer: decode of edited codes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom


@pytest.fixture
def encoder(weights):
    W_enc, W_dec, b_enc, b_dec = weights.values()
    return latom.TopKEncoder(W_enc, 5, W_dec=W_dec, b_enc=b_enc, b_pre=b_dec)


@pytest.mark.parametrize("mode", ["set", "add", "scale"])
@pytest.mark.parametrize("keep_error", [True, False])
def test_it_is_encode_edit_decode(mode, keep_error, X, encoder):
    edits = {7: 2.5, 3: 0.0, 29: -1.0}
    codes = encoder.transform(X).toarray()
    edited = codes.copy()
    for j, number in edits.items():
        change = {"set": number, "add": codes[:, j] + number, "scale": codes[:, j] * number}
        edited[:, j] = change[mode]
    want = encoder.inverse_transform(sp.csr_array(edited))
    if keep_error:
        want = X + want - encoder.inverse_transform(sp.csr_array(codes))
    rows = latom.steer(X, encoder, edits, mode=mode, keep_error=keep_error)
    assert rows.dtype == np.float32
    assert np.allclose(rows, want, atol=1e-4)
    tokens = latom.steer(X.reshape(6, 10, 12), encoder, edits, mode=mode, keep_error=keep_error)
    assert np.array_equal(tokens.reshape(60, 12), rows)


def test_other_encoders_and_no_edits(X, encoder):
    assert np.array_equal(latom.steer(X, encoder, {}), X)
    coder = latom.MatchingPursuit(np.eye(12), transform_n_nonzero_coefs=2)
    moved = latom.steer(X, coder, {4: 9.0})
    assert np.allclose(moved[:, 4] - X[:, 4] + coder.transform(X).toarray()[:, 4], 9)
    dense = latom.MatchingPursuit(np.eye(12), transform_n_nonzero_coefs=2, sparse_output=False)
    assert np.array_equal(latom.steer(X, dense, {4: 9.0}), moved)
    model = latom.ITDA(3, 0.2).fit(X)
    assert np.allclose(latom.steer(X, model, {0: 1.0}, mode="add") - X, model.components_[:1], atol=1e-5)


@pytest.mark.parametrize(
    ("edits", "error", "words"),
    [
        ({30: 1.0}, ValueError, r"edits must name latents by integers in \[0, 30\); got 30\. Name one by"),
        ({-1: 1.0}, ValueError, r"edits must name latents by integers in \[0, 30\); got -1\. Name one by"),
        ({1.0: 1.0}, ValueError, "edits must name latents by integers"),
        ({True: 1.0}, ValueError, "edits must name latents by integers"),
        ({1: np.nan}, ValueError, "edits must have finite numbers"),
        ({1: "2"}, ValueError, "edits must have finite numbers"),
        ([1, 2], TypeError, "edits must be a mapping"),
    ],
)
def test_wrong_edits_are_refused(edits, error, words, X, encoder):
    with pytest.raises(error, match=f"^steer: {words}"):
        latom.steer(X, encoder, edits)
    with pytest.raises(ValueError, match="steer: mode must be"):
        latom.steer(X, encoder, {}, mode="multiply")
