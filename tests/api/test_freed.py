"""What a call made is freed with the last name of it, and does not wait for Python's collector of cycles."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import scipy.sparse as sp
from front_door import ESTIMATORS, FUNCTIONS, RNG

import latom

X = RNG.random((40, 6)).round(2)
MORE = {
    "MiniBatchNMF.fit": lambda A: latom.MiniBatchNMF(2, max_iter=2, random_state=0).fit(A),
    "MiniBatchSphericalKMeans.fit": lambda A: latom.MiniBatchSphericalKMeans(3, random_state=0).fit(A),
    "HierarchicalKMeans.fit": lambda A: latom.HierarchicalKMeans([6, 2], random_state=0).fit(A),
    "SparseAutoencoder.fit": lambda A: latom.SparseAutoencoder(6, 2, max_epochs=2, random_state=0).fit(A),
    "TruncatedSVD.fit": lambda A: latom.TruncatedSVD(2, random_state=0).fit(A),
    "CUR.fit": lambda A: latom.CUR(5, 3, random_state=0).fit(A),
    "RESCAL.fit": lambda A: latom.RESCAL(2, max_iter=2, random_state=0).fit([A.T @ A, A.T @ A]),
    "NonNegativeCP.fit": lambda A: latom.NonNegativeCP(2, max_iter=2, random_state=0).fit(
        A.reshape(40, 2, 3)
    ),
    "ConsensusNMF.fit": lambda A: latom.ConsensusNMF(2, n_replicates=4, random_state=0).fit(A),
    "LatentLabelShift.fit": lambda A: latom.LatentLabelShift(2, random_state=0).fit(A, np.arange(40) % 6),
    "SparseIndex": lambda A: latom.neighbors.SparseIndex(sp.csr_array(A)).search(sp.csr_array(A), 2),
    "DenseIndex": lambda A: latom.neighbors.DenseIndex(A).search(A, 2),
    "NearestNeighbors": lambda A: latom.neighbors.NearestNeighbors(n_neighbors=2).fit(A).kneighbors(),
}
CALLS = FUNCTIONS | ESTIMATORS | MORE


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_left_to_the_collector(name):
    CALLS[name](X)  # imports, and caches that stay
    gc.collect()
    before = gc.isenabled(), gc.get_debug()
    gc.disable()
    try:
        CALLS[name](X)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = [type(kept) for kept in gc.garbage if type(kept).__module__.partition(".")[0] == "latom"]
        assert not ours + [np.ndarray for kept in gc.garbage if isinstance(kept, np.ndarray)]
    finally:
        gc.set_debug(before[1])
        gc.garbage.clear()
        if before[0]:
            gc.enable()
