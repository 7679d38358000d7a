"""What a fit holds at once: weights, moments, a batch and tiles, but no array of rows times latents."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
from latom import SparseAutoencoder
rng = np.random.default_rng(0)
X = rng.standard_normal((4096, 32)).astype(np.float32)

def fit(latents, **settings):
    given = {"batch_size": 4096, "max_epochs": 2, "random_state": 0, "pre_bias": "mean", "n_threads": 2}
    return SparseAutoencoder(latents, 8, **given | settings).fit(X)

fit(256)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fit(16384, **SETTINGS)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is counted in other units")
@pytest.mark.parametrize("settings", [{}, {"dead_steps": 1, "contrast_weight": 0.1}, {"selection": "batch"}])
def test_memory_is_that_of_weights_and_a_batch(settings):
    """An array of 4096 rows by 16 384 latents would be 256 MiB, weights with moments are 6, codes some 4."""
    code = CODE.replace("SETTINGS", repr(settings))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 80
