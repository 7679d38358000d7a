"""Batches in which rows of one label come together, for the contrast that draws them together."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from latom import SparseAutoencoder
from latom.encode import training_run
from latom.encode.training_run import in_pairs


@pytest.mark.parametrize("size", [10, 7])
def test_rows_of_one_label_share_batches(rng, size):
    for labels in (rng.permutation(np.repeat(np.arange(40), 2)), rng.integers(20, size=81), np.zeros(5, int)):
        order = in_pairs(labels)
        assert sorted(order) == list(range(len(labels)))
        # A plain statement: a row, then the next one of its label, then the first that has not been placed.
        left, plain = list(range(len(labels))), []
        while left:
            plain.append(left.pop(0))
            like = [i for i in left if labels[i] == labels[plain[-1]]]
            if like:
                left.remove(like[0])
                plain.append(like[0])
        assert order.tolist() == plain
        batches = [labels[order[first : first + size]] for first in range(0, len(order), size)]
        alone = sum((np.unique(batch, return_counts=True)[1] == 1).sum() for batch in batches)
        odd = (np.bincount(labels) % 2).sum()
        assert alone <= odd + 2 * (len(batches) - 1)
        if size == 10 and len(labels) == 80:
            assert alone == 0
    assert in_pairs(np.arange(9)[::-1]).tolist() == list(range(9))


def test_pairs_find_each_other_better_than_after_batches_by_chance(monkeypatch):
    rng = np.random.default_rng(0)
    query = rng.standard_normal((300, 16))
    rows = np.stack([query, query + rng.standard_normal(query.shape)], axis=1).reshape(600, 16)
    pairs = np.repeat(np.arange(300), 2)
    settings = {"contrast_weight": 5.0, "max_epochs": 10, "batch_size": 32, "learning_rate": 1e-2}

    def found():
        model = SparseAutoencoder(64, 4, random_state=0, **settings).fit(rows, pairs)
        Z = normalize(model.transform(rows)).toarray()
        return ((Z[::2] @ Z[1::2].T).argmax(axis=1) == np.arange(300)).mean()

    ours = found()
    monkeypatch.setattr(training_run, "in_pairs", lambda labels: np.arange(len(labels)))
    assert ours > found() + 0.05
