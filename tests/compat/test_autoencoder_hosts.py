"""Autoencoders in the files of other libraries: each is read back by its own, where that is installed."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
files = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")

from latom import SparseAutoencoder, ThresholdEncoder, TopKEncoder  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of the hosts
D, M, K = 8, 24, 3


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    codes = np.where(rng.random((200, 12)) < 0.2, rng.uniform(1, 2, (200, 12)), 0)
    return (codes @ rng.standard_normal((12, D)) + 0.5).astype(np.float32)


def trained(rows, folder, format, **changes):
    """A model, which has been written into the folder."""
    settings = {"k": K, "batch_size": 64, "max_epochs": 4, "learning_rate": 1e-2, "random_state": 0}
    model = SparseAutoencoder(M, **settings | changes).fit(rows)
    model.save_pretrained(folder, format)
    return model


def agree(model, rows, codes, back):
    """What the host makes of rows, in float32 and in an order of its own, is what the model makes."""
    wanted = model.transform(rows)
    codes, back = (tensor.detach().numpy() for tensor in (codes, back))
    assert np.abs(codes - wanted.toarray()).max() < 1e-4
    assert ((codes != 0).sum(axis=1) == np.diff(wanted.indptr)).all()
    assert np.abs(back - model.inverse_transform(wanted)).max() < 1e-4


SAE_LENS = {
    "tied": {},
    "own decoder": {"tied": False, "unit_norm": False},
    "no bias": {"pre_bias": None},
    "float64": {"dtype": np.float64},
    "batch": {"selection": "batch"},
    "abs": {"activation": "abs"},
}


@pytest.mark.parametrize("kind", SAE_LENS)
def test_sae_lens(kind, rows, tmp_path):
    host = pytest.importorskip("sae_lens", reason="sae-lens is not installed")
    changes = dict(SAE_LENS[kind])
    rows = rows.astype(changes.pop("dtype", np.float32))
    model = trained(rows, tmp_path, "saelens", **changes)
    if kind == "abs":
        from sae_lens.registry import SAE_CLASS_REGISTRY

        if "abstopk" not in SAE_CLASS_REGISTRY:
            pytest.skip("this version of SAELens has no AbsTopK")
    sae = host.SAE.load_from_disk(str(tmp_path), device="cpu")
    assert sae.cfg.architecture() == json.loads((tmp_path / "cfg.json").read_text())["architecture"]
    with torch.no_grad():
        codes = sae.encode(torch.from_numpy(rows))
        agree(model, rows, codes, sae.decode(codes))
    sae.save_model(str(tmp_path / "again"))
    if kind != "batch":
        again = TopKEncoder.from_pretrained(tmp_path / "again")
        assert (again.transform(rows) != model.transform(rows)).nnz == 0
        return
    found = ThresholdEncoder.from_pretrained(tmp_path / "again").transform(rows)
    wanted = model.transform(rows)
    assert (found.indices == wanted.indices).all()
    assert np.allclose(found.data, wanted.data, rtol=1e-6)  # it rounds twice


@pytest.mark.parametrize("changes", [{}, {"tied": False, "unit_norm": False}, {"pre_bias": None}])
def test_sparsify(changes, rows, tmp_path):
    host = pytest.importorskip("sparsify", reason="eai-sparsify is not installed")
    model = trained(rows, tmp_path, "sparsify", **changes)
    sae = host.SparseCoder.load_from_disk(tmp_path, device="cpu")
    with torch.no_grad():
        found = sae.encode(torch.from_numpy(rows))
        codes = torch.zeros(len(rows), M).scatter(1, found.top_indices, found.top_acts)
        agree(model, rows, codes, sae.decode(found.top_acts, found.top_indices))
    sae.save_to_disk(tmp_path / "again")
    again = TopKEncoder.from_pretrained(tmp_path / "again")
    assert (again.transform(rows) != model.transform(rows)).nnz == 0


@pytest.mark.parametrize("changes", [{}, {"pre_bias": None}, {"aux_k": 5}])
def test_sentence_transformers(changes, rows, tmp_path):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    host = pytest.importorskip("sentence_transformers.sparse_encoder.modules")
    model = trained(rows, tmp_path, "sentence-transformers", **changes)
    sae = host.SparseAutoEncoder.load(str(tmp_path)).eval()
    with torch.no_grad():
        codes = sae({"sentence_embedding": torch.from_numpy(rows)})["sentence_embedding"]
        agree(model, rows, codes, sae.decoder(codes) + sae.pre_bias)
    (tmp_path / "again").mkdir()
    sae.save(str(tmp_path / "again"))
    again = TopKEncoder.from_pretrained(tmp_path / "again")
    assert (again.transform(rows) != model.transform(rows)).nnz == 0
