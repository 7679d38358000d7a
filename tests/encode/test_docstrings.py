"""Examples of docstrings run, and each public name has one."""

from __future__ import annotations

import pytest
from docstrings import run_examples

import latom

ENCODERS = ["ITDA", "MatchingPursuit", "RelativeRepresentation", "SparseAutoencoder", "ThresholdEncoder"]
FUNCTIONS = ["above", "decode", "encode", "matching_pursuit", "orthogonal_matching_pursuit", "steer", "topk"]


@pytest.mark.parametrize("name", [*ENCODERS, "TopKEncoder", *FUNCTIONS])
def test_examples_run(name):
    run_examples(getattr(latom, name))


def test_what_an_autoencoder_has_learned_is_described():
    for name in ("components_", "encoder_components_", "b_enc_", "b_pre_"):
        assert getattr(latom.SparseAutoencoder, name).__doc__, name
