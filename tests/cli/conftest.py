"""Documents of three topics, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from calls import write
from scipy import sparse

TOPICS = (
    "violin cello sonata orchestra conductor concert symphony",
    "goalkeeper striker penalty referee football stadium league",
    "enzyme protein ribosome membrane genome molecule bacteria",
)
N_EACH = 6


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Three topics with no word in common, six documents each, topics taking turns."""
    rng = np.random.default_rng(0)
    return [
        " ".join(rng.choice(topic.split(), size=6, replace=False)) for _ in range(N_EACH) for topic in TOPICS
    ]


@pytest.fixture
def line_file(tmp_path: Path, texts: list[str]) -> Path:
    return write(tmp_path / "lines.txt", "\n".join(texts) + "\n")


@pytest.fixture
def counts(tmp_path: Path, texts: list[str]) -> Path:
    """The same documents as a matrix of counts, the terms beside it."""
    terms = sorted(set(" ".join(texts).split()))
    X = sparse.csr_matrix([[text.split().count(term) for term in terms] for text in texts])
    sparse.save_npz(tmp_path / "counts.npz", X)
    write(tmp_path / "terms.txt", "\n".join(terms) + "\n")
    return tmp_path / "counts.npz"
