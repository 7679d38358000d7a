"""latom's estimators as they are, in libraries that take an estimator: BERTopic, yellowbrick."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from texts import StubEncoder, agree, documents

import latom
from latom.compat import sklearn as compat_sklearn

pytestmark = pytest.mark.filterwarnings("default")  # of the hosts

CLUSTERINGS = [
    latom.SphericalKMeans(3, random_state=0),
    latom.KMeans(3, random_state=0),
    compat_sklearn.KMeans(3, random_state=0),
]


def topic_model(clustering, reduction=None, **parameters):
    """A BERTopic model that downloads nothing."""
    bertopic = pytest.importorskip("bertopic", reason="bertopic is not installed")
    from bertopic.dimensionality import BaseDimensionalityReduction

    return bertopic.BERTopic(
        embedding_model=None,
        umap_model=BaseDimensionalityReduction() if reduction is None else reduction,
        hdbscan_model=clustering,
        **parameters,
    )


@pytest.mark.parametrize("clustering", CLUSTERINGS, ids=lambda c: f"{type(c).__module__}.{type(c).__name__}")
def test_bertopic_clusters_with_them(clustering):
    texts, themes = documents()
    embeddings = StubEncoder().encode(texts)
    model = topic_model(clustering)
    topics, _ = model.fit_transform(texts, embeddings)
    assert agree(topics, themes)
    again, _ = copy.deepcopy(model).transform(texts, embeddings)
    assert (np.asarray(again) == np.asarray(topics)).all()
    words = {word for word, _ in model.get_topic(topics[0])}
    assert words & set(texts[0].split())


@pytest.mark.parametrize("reduction", [latom.SemiNMF(4, random_state=0), latom.KMeans(4, random_state=0)])
def test_bertopic_reduces_with_them(reduction):
    texts, themes = documents()
    embeddings = StubEncoder().encode(texts)
    model = topic_model(latom.KMeans(3, random_state=0), reduction)
    topics, _ = model.fit_transform(texts, embeddings)
    assert agree(topics, themes)
    assert agree(model.transform(texts, embeddings)[0], themes)


@pytest.mark.parametrize(
    "kind", [latom.MiniBatchSphericalKMeans, latom.MiniBatchKMeans, latom.SphericalKMeans]
)
def test_bertopic_goes_on_with_batches(kind):
    texts, themes = documents()
    embeddings = StubEncoder().encode(texts)
    model = topic_model(kind(3, random_state=0), vectorizer_model=CountVectorizer())
    pytest.importorskip("bertopic.vectorizers")
    from bertopic.vectorizers import OnlineCountVectorizer

    model.vectorizer_model = OnlineCountVectorizer()
    for first in range(0, 90, 30):
        part = slice(first, first + 30)
        model.partial_fit(texts[part], embeddings[part])
        assert agree(model.topics_, themes[part])


def test_yellowbrick_finds_the_elbow():
    pytest.importorskip("matplotlib").use("Agg")
    cluster = pytest.importorskip("yellowbrick.cluster", reason="yellowbrick is not installed")
    rng = np.random.default_rng(0)
    X = 8 * rng.standard_normal((4, 5))[rng.integers(4, size=200)] + rng.standard_normal((200, 5))
    forced = {"force_model": True}  # yellowbrick 1.5 asks for an attribute that scikit-learn 1.9 has not
    kmeans = latom.KMeans(random_state=0, n_init=4)
    elbow = cluster.KElbowVisualizer(kmeans, k=(2, 9), timings=False, **forced)
    assert elbow.fit(X).elbow_value_ == 4
    four = compat_sklearn.KMeans(4, random_state=0, n_init=4)
    silhouette = cluster.SilhouetteVisualizer(four, colors=["r", "g", "b", "k"], **forced)
    assert silhouette.fit(X).silhouette_score_ > 0.5
