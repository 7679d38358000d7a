"""Files that latom reads hold numbers and text: a pickle inside is refused, not run."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

import latom

RAN = []


class Code:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return RAN.append, ("ran",)


OBJECTS = np.array([Code()], dtype=object)
X = np.random.default_rng(0).standard_normal((30, 5))


def index(path):
    latom.DenseIndex(X).save(path)
    np.save(path / "removed.npy", OBJECTS, allow_pickle=True)
    return lambda: latom.DenseIndex.load(path)


def rows_of_index(path):
    latom.DenseIndex(X).save(path)
    np.save(path / "rows.npy", OBJECTS, allow_pickle=True)
    return lambda: latom.DenseIndex.load(path, mmap=False)


def numbers(path):
    path.mkdir()
    np.save(path / "x.npy", OBJECTS, allow_pickle=True)
    return lambda: latom.KMeans(2).fit(latom.Stream(path))


def archive(path):
    path.mkdir()
    np.savez(path / "x.npz", data=OBJECTS, indices=OBJECTS, indptr=OBJECTS, shape=(1, 1), format=b"csr")
    return lambda: latom.KMeans(2).fit(latom.Stream(path))


def state(path):
    np.savez(path, fit=OBJECTS)
    return lambda: latom.KMeans(2).fit(latom.Stream(X, checkpoint=path.with_suffix(".npz")))


def hierarchy(path):
    np.savez(path, fit=OBJECTS)
    return lambda: latom.HierarchicalKMeans((3, 2), checkpoint=path.with_suffix(".npz")).fit(X)


def training(path):
    np.savez(path, about=OBJECTS)
    return lambda: latom.SparseAutoencoder.load_checkpoint(path.with_suffix(".npz"))


def itda(path):
    np.savez(path, config=np.array(json.dumps({})), atoms=OBJECTS)
    return lambda: latom.ITDA.load(path.with_suffix(".npz"))


def weights(path):
    np.savez(path, W_enc=OBJECTS)
    return lambda: latom.TopKEncoder.from_pretrained(path.with_suffix(".npz"))


def tensors(path):
    path.mkdir()
    pytest.importorskip("torch")
    (path / "ae.pt").write_bytes(pickle.dumps(Code()))
    (path / "config.json").write_text("{}")
    return lambda: latom.TopKEncoder.from_pretrained(path)


@pytest.mark.parametrize(
    "make", [index, rows_of_index, numbers, archive, state, hierarchy, training, itda, weights, tensors]
)
def test_pickles_are_refused(make, tmp_path):
    load = make(tmp_path / "it")
    with pytest.raises((ValueError, TypeError), match="must"):
        load()
    assert not RAN
