"""Weights that scikit-learn's metadata routing hands on reach the estimators."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import latom

ESTIMATORS = [latom.KMeans, latom.SphericalKMeans, latom.MiniBatchKMeans, latom.MiniBatchSphericalKMeans]


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_requested_weights_arrive(cls, rng):
    X, w = rng.random((80, 4)), rng.random(80)
    plain = cls(3, random_state=0)
    expected = plain.fit(X, sample_weight=w).cluster_centers_.copy()
    assert not np.array_equal(expected, cls(3, random_state=0).fit(X).cluster_centers_)
    score = plain.score(X, sample_weight=w)
    with config_context(enable_metadata_routing=True):
        asking = (
            cls(3, random_state=0).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        )
        chain = make_pipeline(FunctionTransformer(), asking)
        assert np.array_equal(chain.fit(X, sample_weight=w)[-1].cluster_centers_, expected)
        assert chain.score(X, sample_weight=w) == score
        other = cls(3, random_state=0).set_partial_fit_request(sample_weight=True)
        assert other.get_metadata_routing().partial_fit.requests == {"sample_weight": True}
        silent = make_pipeline(FunctionTransformer(), cls(3, random_state=0))
        with pytest.raises(Exception, match=r"sample_weight.* passed but are not explicitly set"):
            silent.fit(X, sample_weight=w)
