"""Rows and weights of a small top-k autoencoder."""

from __future__ import annotations

import numpy as np
import pytest

D, M = 12, 30


@pytest.fixture
def X(rng):
    return rng.standard_normal((60, D)).astype(np.float32)


@pytest.fixture
def weights(rng):
    """W_enc [m, d], W_dec [m, d], b_enc, b_dec."""
    return {
        "W_enc": rng.standard_normal((M, D)).astype(np.float32),
        "W_dec": rng.standard_normal((M, D)).astype(np.float32),
        "b_enc": rng.standard_normal(M).astype(np.float32),
        "b_dec": rng.standard_normal(D).astype(np.float32),
    }
