"""Every way in for an array: each call and argument that takes one, as a function of that array alone."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

import latom

RNG = np.random.default_rng(5)
X = RNG.random((40, 6)).round(2)
ATOMS = RNG.random((9, 6)).round(2)
BIAS = RNG.random(9).round(2)
PLACE = RNG.random(6).round(2)
WEIGHTS = RNG.random(40).round(2) + 0.5


def kmeans(**options):
    return latom.KMeans(3, random_state=0, max_iter=5, **options)


def labels(model):
    return model.labels_


def pairs(cls, A):
    return cls(2, max_iter=2, random_state=0).fit(A).item_factors


FUNCTIONS = {
    "assign": lambda A: latom.assign(A, ATOMS),
    "topk": lambda A: latom.topk(A, ATOMS, 2),
    "above": lambda A: latom.above(A, ATOMS, 1.0),
    "encode": lambda A: latom.encode(A, ATOMS, 2),
    "matching_pursuit": lambda A: latom.matching_pursuit(A, ATOMS, 3),
    "orthogonal_matching_pursuit": lambda A: latom.orthogonal_matching_pursuit(A, ATOMS, 3),
    "kmeans_plusplus": lambda A: latom.kmeans_plusplus(A, 3, random_state=0)[1],
    "kmeans_parallel": lambda A: latom.kmeans_parallel(A, 3, random_state=0)[1],
    "afkmc2": lambda A: latom.afkmc2(A, 3, random_state=0)[1],
    "coreset": lambda A: latom.coreset(A, 5, random_state=0),
    "davies_bouldin": lambda A: latom.davies_bouldin(A, np.arange(40) % 3),
    "kmeans_batch": lambda A: latom.kmeans_batch(A, 3, [0, 10, 40])[0],
    "pool_tokens": lambda A: latom.pool_tokens(A, [0, 10, 40])[0],
    "select_n_clusters": lambda A: latom.select_n_clusters(A, [2, 3], max_iter=3, random_state=0).best,
    "silhouette_samples": lambda A: latom.silhouette_samples(A, np.arange(40) % 3),
    "ward_batch": lambda A: latom.ward_batch(A, 3, [0, 10, 40])[0],
}
ESTIMATORS = {
    "KMeans.fit": lambda A: labels(kmeans().fit(A)),
    "KMeans.partial_fit": lambda A: labels(kmeans().partial_fit(A)),
    "KMeans.predict": lambda A: kmeans().fit(X).predict(A),
    "KMeans.transform": lambda A: kmeans().fit(X).transform(A),
    "KMeans.score": lambda A: kmeans().fit(X).score(A),
    "SphericalKMeans.fit": lambda A: labels(latom.SphericalKMeans(3, random_state=0).fit(A)),
    "BisectingKMeans.fit": lambda A: labels(latom.BisectingKMeans(3, random_state=0).fit(A)),
    "MiniBatchKMeans.fit": lambda A: labels(latom.MiniBatchKMeans(3, random_state=0).fit(A)),
    "AlternatingLeastSquares.fit": lambda A: (
        latom.AlternatingLeastSquares(2, iterations=2, random_state=0).fit(A).item_factors
    ),
    "MatrixCompletion.fit": lambda A: (
        latom.MatrixCompletion(2, max_iter=2, tol=0, random_state=0).fit(A).components_
    ),
    "LowRankImputer.fit": lambda A: latom.LowRankImputer(2, max_iter=2, random_state=0).fit_transform(A),
    "NMF.fit": lambda A: latom.NMF(2, tol=0.1, init="nndsvd", random_state=0).fit(A).components_,
    "SemiNMF.fit": lambda A: latom.SemiNMF(2, tol=0.1, random_state=0).fit(A).components_,
    "PointwiseFactorization.fit": lambda A: pairs(latom.PointwiseFactorization, A),
    "IPSFactorization.fit": lambda A: pairs(latom.IPSFactorization, A),
    "ITDA.fit": lambda A: latom.ITDA(2, 0.05, batch_size=16).fit(A).components_,
    "MatchingPursuit.transform": lambda A: latom.MatchingPursuit(ATOMS).transform(A),
    "ThresholdEncoder.transform": lambda A: latom.ThresholdEncoder(ATOMS, 1.0).transform(A),
    "TopKEncoder.fit": lambda A: latom.TopKEncoder(k=2, n_components=3, random_state=0).fit(A).components_,
    "TopKEncoder.transform": lambda A: latom.TopKEncoder(ATOMS, 2).transform(A),
}
# Arguments beside X: (the argument's own array, the call).
ARGUMENTS = {
    "assign centers": (ATOMS, lambda A: latom.assign(X, A)),
    "topk atoms": (ATOMS, lambda A: latom.topk(X, A, 2)),
    "topk bias": (BIAS, lambda A: latom.topk(X, ATOMS, 2, bias=A)),
    "above threshold": (WEIGHTS, lambda A: latom.above(X, ATOMS, A)),
    "matching_pursuit atoms": (ATOMS, lambda A: latom.matching_pursuit(X, A, 2)),
    "encode b_pre": (PLACE, lambda A: latom.encode(X, ATOMS, 2, b_pre=A)),
    "decode W_dec": (ATOMS, lambda A: latom.decode(sp.csr_array(np.eye(9)), A)),
    "decode values": (X[:, :2], lambda A: latom.decode((A, np.zeros((40, 2), int)), ATOMS)),
    "kmeans_plusplus existing_centers": (
        ATOMS,
        lambda A: latom.kmeans_plusplus(X, 3, existing_centers=A, random_state=0)[1],
    ),
    "kmeans_plusplus sample_weight": (
        WEIGHTS,
        lambda A: latom.kmeans_plusplus(X, 3, sample_weight=A, random_state=0)[1],
    ),
    "maxsim queries": (
        X,
        lambda A: latom.maxsim(A, ATOMS, 1, query_offsets=[0, 40], document_offsets=[0, 4, 9]),
    ),
    "maxsim documents": (
        ATOMS,
        lambda A: latom.maxsim(X, A, 1, query_offsets=[0, 40], document_offsets=[0, 4, 9]),
    ),
    "weighted_sample weights": (WEIGHTS, lambda A: latom.weighted_sample(A, 3, random_state=0)),
    "KMeans init": (ATOMS[:3], lambda A: labels(kmeans(init=A).fit(X))),
    "KMeans fixed_centers": (ATOMS[:2], lambda A: kmeans(fixed_centers=A).fit(X).cluster_centers_),
    "KMeans sample_weight": (WEIGHTS, lambda A: kmeans().fit(X, sample_weight=A).cluster_centers_),
    "TopKEncoder W_enc": (ATOMS, lambda A: latom.TopKEncoder(A, 2).transform(X)),
    "TopKEncoder W_dec": (ATOMS, lambda A: latom.TopKEncoder(ATOMS, 2, W_dec=A).inverse_transform(np.eye(9))),
    "TopKEncoder b_dec": (PLACE, lambda A: latom.TopKEncoder(ATOMS, 2, b_dec=A).inverse_transform(np.eye(9))),
    "TopKEncoder codes": (X[:9], lambda A: latom.TopKEncoder(ATOMS[:6], 2).inverse_transform(A)),
}
DOORS = {
    **{f"{name} X": (X, call) for name, call in (FUNCTIONS | ESTIMATORS).items()},
    **ARGUMENTS,
}


def same(one, other):
    """Whether results are the same, bit for bit."""
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if sp.issparse(one):
        return one.dtype == other.dtype and (one != other).nnz == 0
    return np.array_equal(one, other) and np.asarray(one).dtype == np.asarray(other).dtype
