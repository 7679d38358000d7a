"""Host libraries' names and signatures on latom's core: one module for each host.

A module here is imported by its own name, ``from latom.compat.sklearn import KMeans``, or when it is first
touched, ``latom.compat.sklearn.KMeans``. It has the host's arguments and attributes and no more; the host
itself is imported only where one of its classes is subclassed or one of its functions is named.
"""

from __future__ import annotations

from latom._base.lazy import lazily

__getattr__ = lazily(
    globals(),
    {},
    ("faiss", "fastkmeans", "implicit", "sentence_transformers", "sklearn", "turftopic"),
)
