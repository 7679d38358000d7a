"""Token pooling of sentence-transformers' multi-vector encoders, on latom's core.

    from latom.compat.sentence_transformers import HierarchicalTokenPooling   # a subclass of the host's
    pooled = HierarchicalTokenPooling(pool_factor=4).pool(list_of_token_tensors)

or, with a model that has the host's own module, by its seam:

    from sentence_transformers.multi_vector_encoder.modules import token_pooling
    token_pooling._hierarchical_pool_one = latom.compat.sentence_transformers.hierarchical_pool_one

Clusters are the host's (version 6.2): Ward's criterion on 1 - cosine as if that were a Euclidean distance,
cut into the same number; but there are always as many as asked for, also where distances tie, and they come
in the order of first tokens. :func:`latom.pool_tokens` has Ward's criterion on the vectors themselves, and
k-means after it, which is closer to the tokens.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from latom._base.checks import number_of, shown
from latom.cluster.problems import as_problems
from latom.cluster.ward import ward_labels

if TYPE_CHECKING:
    HierarchicalTokenPooling: Any

__all__ = ["HierarchicalTokenPooling", "hierarchical_pool", "hierarchical_pool_one"]


def hierarchical_pool_one(
    embedding: Any, pool_factor: float, num_protected_tokens: int, normalize_embeddings: bool = True
) -> Any:
    """The host's function of one document: a tensor (tokens, d) becomes one of fewer rows.

    Gradients flow through the means of clusters.

    Parameters
    ----------
    embedding : torch.Tensor of shape (tokens, d)
    pool_factor : float
        Keep the whole part of (tokens - num_protected_tokens) / pool_factor, and at least one.
    num_protected_tokens : int
        Leading tokens that are kept.
    normalize_embeddings : bool, default True
        Whether all rows of the result are scaled to length 1.

    Returns
    -------
    pooled : torch.Tensor
        Of the dtype, and on the device, of the embedding.
    """
    return hierarchical_pool([embedding], pool_factor, num_protected_tokens, normalize_embeddings)[0]


def hierarchical_pool(
    embeddings: list[Any],
    pool_factor: float,
    num_protected_tokens: int = 1,
    normalize_embeddings: bool = True,
    n_threads: int | None = None,
) -> list[Any]:
    """:func:`hierarchical_pool_one` of many documents in one call, on all threads.

    Parameters
    ----------
    embeddings : list of torch.Tensor of shape (tokens, d)
    pool_factor, num_protected_tokens, normalize_embeddings
        As in :func:`hierarchical_pool_one`.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`.

    Returns
    -------
    pooled : list of torch.Tensor

    Examples
    --------
    >>> import torch
    >>> from latom.compat.sentence_transformers import hierarchical_pool
    >>> [len(rows) for rows in hierarchical_pool([torch.eye(9), torch.eye(9)[:2]], 2.0)]
    [5, 2]
    """
    function = "hierarchical_pool"
    if not 1 <= number_of(pool_factor) < float("inf"):
        raise ValueError(
            f"{function}: pool_factor must be a finite number of at least 1; got {shown(pool_factor)}. Pass "
            "4 to keep a quarter."
        )
    free = [embedding[num_protected_tokens:] for embedding in embeddings]
    counts = np.array([max(int(len(rows) // pool_factor), 1) for rows in free], np.int64)
    counts = np.minimum(counts, [len(rows) for rows in free])
    merged = [b for b, rows in enumerate(free) if counts[b] < len(rows)]
    pooled = list(embeddings)
    if merged:
        rows, at = as_problems(function, [free[b].detach().cpu() for b in merged], None, "embeddings")
        labels, _, _ = ward_labels(
            function, rows, at, "cosine", counts[merged], n_threads, one_minus_cosine=True
        )
        for place, b in enumerate(merged):
            means = _means(free[b], labels[at[place] : at[place + 1]], int(counts[b]))
            pooled[b] = sys.modules["torch"].cat([embeddings[b][:num_protected_tokens], means])
    return [_normalized(rows) for rows in pooled] if normalize_embeddings else pooled


def _means(rows: Any, labels: Any, m: int) -> Any:
    torch = sys.modules["torch"]
    index = torch.from_numpy(labels.astype(np.int64)).to(rows.device)
    sums = rows.new_zeros((m, rows.shape[1])).index_add(0, index, rows)
    return sums / torch.bincount(index, minlength=m).unsqueeze(1)


def _normalized(rows: Any) -> Any:
    wide = rows.float() if rows.element_size() == 2 else rows
    return sys.modules["torch"].nn.functional.normalize(wide, dim=-1).to(rows.dtype)


def _pooling_class() -> Any:
    """The host's class with what it does per document done here, for all documents of a batch at once."""
    host: Any = importlib.import_module("sentence_transformers.multi_vector_encoder.modules.token_pooling")

    class HierarchicalTokenPooling(host.HierarchicalTokenPooling):
        """``HierarchicalTokenPooling`` of sentence-transformers, computed by latom."""

        def pool_one(self, embedding: Any, **_: Any) -> Any:
            return self._pool([embedding])[0]

        def pool(self, embeddings: Any, *, task: str | None = None, **options: Any) -> Any:
            if isinstance(embeddings, list) and embeddings and self.applies_to(task):
                return self._pool(embeddings)
            return super().pool(embeddings, task=task, **options)

        def _pool(self, embeddings: list[Any]) -> list[Any]:
            return hierarchical_pool(
                embeddings, self.pool_factor, self.num_protected_tokens, self.normalize_embeddings
            )

    HierarchicalTokenPooling.__qualname__ = "HierarchicalTokenPooling"
    return HierarchicalTokenPooling


def __getattr__(name: str) -> Any:
    if name != "HierarchicalTokenPooling":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = _pooling_class()
    return made
