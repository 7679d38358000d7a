"""A pytest plugin: scikit-learn's tests of neighbors find latom.compat.sklearn in scikit-learn's modules."""

from __future__ import annotations

import sklearn.neighbors
from sklearn.neighbors import _graph

from latom.compat import sklearn as compat

for name in ("NearestNeighbors", "KNeighborsTransformer", "RadiusNeighborsTransformer"):
    setattr(sklearn.neighbors, name, getattr(compat, name))
_graph.NearestNeighbors = compat.NearestNeighbors  # of kneighbors_graph and radius_neighbors_graph
