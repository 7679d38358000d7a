"""What a hierarchy is told of its levels: clusters, rounds and rows of a round, a number for each."""

from __future__ import annotations

from typing import Any

from latom._base.checks import check_choice, check_clusters, check_flag, check_integer, check_metric, shown
from latom.cluster.saved_hierarchy import check_checkpoint


def checked_levels(name: str, model: Any, n: int) -> tuple[list[int], list[int], list[int]]:
    """Clusters, rounds and rows per cluster (0: half) of each level of a HierarchicalKMeans of n rows."""
    check_metric(name, model.metric)
    check_choice(name, "strategy", model.strategy, ("closest", "random"))
    check_flag(name, "warm_start", model.warm_start)
    check_integer(name, "n_init", model.n_init)
    check_checkpoint(name, model.checkpoint, model.max_leaf_size)
    given = model.n_clusters if isinstance(model.n_clusters, (tuple, list)) else (model.n_clusters,)
    if model.max_leaf_size is not None:
        if len(given) != 1:
            raise ValueError(
                f"{name}: n_clusters must be one number with max_leaf_size; got "
                f"{shown(model.n_clusters)}. Pass the clusters that each split makes."
            )
        return [check_integer(name, "n_clusters", given[0], low=2)], [0], [0]
    if not given:
        raise ValueError(
            f"{name}: n_clusters must have a number for each level; got {shown(model.n_clusters)}. "
            "Pass (1000, 100), say."
        )
    counts = [check_integer(name, "n_clusters", count) for count in given]
    falling = sorted(counts, reverse=True)
    if counts != falling:
        raise ValueError(
            f"{name}: n_clusters must fall from level to level, the finest first; got "
            f"{shown(model.n_clusters)}. Pass {shown(tuple(falling))}."
        )
    check_clusters(name, counts[0], n)
    rounds = _each(name, "n_resampling", model.n_resampling, len(counts), 0)
    if not isinstance(model.sample_size, str):
        return counts, rounds, _each(name, "sample_size", model.sample_size, len(counts), 1)
    if model.sample_size != "half":
        raise ValueError(
            f"{name}: sample_size must be 'half' or a positive integer, one for all levels or for each; got "
            f"{shown(model.sample_size)}. Use 'half' if unsure."
        )
    return counts, rounds, [0] * len(counts)


def _each(name: str, argument: str, value: Any, levels: int, low: int) -> list[int]:
    """A number for each level."""
    given = list(value) if isinstance(value, (tuple, list)) else [value] * levels
    if len(given) != levels:
        raise ValueError(
            f"{name}: {argument} must have a number for each of the {levels} levels; got {shown(value)}. "
            "Pass one number for all."
        )
    return [check_integer(name, argument, one, low=low) for one in given]
