"""The estimator: training that repeats, stops and goes on, its files, and what it becomes."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import normalize
from sklearn.utils.estimator_checks import check_estimator

import latom
from latom import SparseAutoencoder, TopKEncoder
from latom.encode.recipe import Recipe


@pytest.fixture(scope="module")
def rows():
    """Sums of two of twelve directions."""
    rng = np.random.default_rng(3)
    atoms = rng.standard_normal((12, 8))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((300, 12))
    for row in codes:
        row[rng.choice(12, 2, replace=False)] = rng.uniform(1, 2, 2)
    return (codes @ atoms + 0.5).astype(np.float32)


def model(**changes):
    settings = {"n_latents": 24, "k": 3, "batch_size": 64, "max_epochs": 4, "random_state": 0}
    return SparseAutoencoder(**settings | {"learning_rate": 1e-2} | changes)


def same(a, b):
    for name in ("components_", "encoder_components_", "b_enc_", "b_pre_"):
        assert (getattr(a, name) == getattr(b, name)).all(), name
    for name in ("objective", "fvu", "l0", "dead"):
        assert (a.history_[name] == b.history_[name]).all(), name
    assert a.n_steps_ == b.n_steps_


def test_scikit_learn_accepts_it():
    check_estimator(SparseAutoencoder(max_epochs=1), on_skip=None)


@pytest.mark.parametrize(
    "changes",
    [{}, {"tied": False}, {"selection": "batch"}, {"contrast_weight": 0.01}, {"activation": "abs"}],
)
def test_it_learns_and_encodes(rows, changes):
    fitted = model(max_epochs=30, **changes).fit(rows)
    history = fitted.history_
    assert history["fvu"][-1] < 0.4 * history["fvu"][0]
    assert list(history["iteration"]) == list(range(1, 31))
    codes = fitted.transform(rows)
    assert codes.shape == (300, 24)
    assert codes.nnz / 300 <= (3.6 if changes.get("selection") else 3)
    back = fitted.inverse_transform(codes)
    fvu = ((rows - back) ** 2).sum() / ((rows - rows.mean(axis=0)) ** 2).sum()
    # The threshold of "batch" lags behind: it is an average over some 100 steps.
    assert fvu == pytest.approx(history["fvu"][-1], rel=0.5 if changes.get("selection") else 0.3)
    assert np.allclose(np.linalg.norm(fitted.components_, axis=1), 1, atol=1e-5)


def test_a_trained_model_is_a_topk_encoder(rows):
    fitted = model().fit(rows)
    encoder = fitted.to_encoder()
    assert isinstance(encoder, TopKEncoder)
    ours, theirs = fitted.transform(rows), encoder.transform(rows)
    assert (ours != theirs).nnz == 0
    assert (fitted.inverse_transform(ours) == encoder.inverse_transform(theirs)).all()
    plain = latom.encode(rows, fitted.encoder_components_, 3, b_enc=fitted.b_enc_, b_pre=fitted.b_pre_)
    assert (ours != plain).nnz == 0


@pytest.mark.parametrize("selection", ["row", "batch"])
def test_an_encoder_that_was_handed_out_may_be_changed(rows, selection):
    fitted = model(selection=selection).fit(rows)
    before = fitted.transform(rows)
    encoder = fitted.to_encoder()
    assert encoder is not fitted.to_encoder()
    encoder.set_params(**{"threshold": 1e6} if selection == "batch" else {"k": 1})
    assert encoder.transform(rows).nnz < before.nnz
    assert (fitted.transform(rows) != before).nnz == 0


@pytest.mark.parametrize("threads", [1, 5])
def test_bits_do_not_depend_on_threads_and_kernels(rows, isa, threads):
    settings = {"contrast_weight": 0.1, "k_schedule": ("linear", 6, 1), "dead_steps": 2, "max_epochs": 2}
    same(model(n_threads=2, **settings).fit(rows), model(n_threads=threads, **settings).fit(rows))
    first = getattr(test_bits_do_not_depend_on_threads_and_kernels, "seen", None)
    own = model(n_threads=threads, **settings).fit(rows)
    if first is not None:
        same(own, first)
    test_bits_do_not_depend_on_threads_and_kernels.seen = own


@pytest.mark.parametrize(
    "changes", [{}, {"ema": 0.9, "tied": False}, {"selection": "batch", "optimizer": "lazy-adam"}]
)
def test_a_resumed_fit_is_one_that_was_not_stopped(rows, changes, tmp_path):
    whole = model(**changes).fit(rows)
    stopped = model(callback=lambda state: state.iteration == 2, **changes).fit(rows)
    assert stopped.n_epochs_ == 2
    stopped.save_checkpoint(tmp_path / "run.npz")
    resumed = SparseAutoencoder.load_checkpoint(tmp_path / "run.npz").resume(rows)
    same(resumed, whole)
    same(pickle.loads(pickle.dumps(stopped.set_params(callback=None))).resume(rows), whole)
    assert not list(tmp_path.glob("*.partial"))


def test_rows_of_one_label_draw_together(rows, tmp_path):
    labels = (rows[:, 0] > np.median(rows[:, 0])).astype(int)
    settings = {"contrast_weight": 1.0, "max_epochs": 6}
    with_labels, without = model(**settings).fit(rows, labels), model(**settings).fit(rows)

    def gap(fitted):
        Z = normalize(fitted.transform(rows)).toarray()
        cosines = Z @ Z.T
        same = labels[:, None] == labels
        return cosines[same].mean() - cosines[~same].mean()

    assert gap(with_labels) > gap(without) + 0.04
    words = np.array(["no", "yes"])[labels]
    for y in (words, list(words), labels.astype(np.float32), -3 * labels):
        same(model(**settings).fit(rows, y), with_labels)
    same(model().fit(rows, labels), model().fit(rows))
    same(model(**settings).fit(rows, np.arange(300)), without)
    stopped = model(**settings).set_params(callback=lambda state: state.iteration == 2).fit(rows, labels)
    stopped.save_checkpoint(tmp_path / "run.npz")
    same(SparseAutoencoder.load_checkpoint(tmp_path / "run.npz").resume(rows, labels), with_labels)
    parts = model(**settings).partial_fit(rows[:128], labels[:128])
    other = model(**settings).partial_fit(rows[:128])
    assert (parts.components_ != other.components_).any()
    for y in (labels[:-1], labels[:, None]):
        with pytest.raises(ValueError, match=r"SparseAutoencoder\.fit: y must have shape \(300,\); got "):
            model(**settings).fit(rows, y)


def test_an_interrupted_epoch_goes_on_where_it_was(rows, monkeypatch, tmp_path):
    whole = model().fit(rows)
    from latom.encode.trainer import Trainer

    step, count = Trainer.step, [0]

    def interrupted(self, *given):
        count[0] += 1
        if count[0] == 8:
            raise KeyboardInterrupt
        return step(self, *given)

    part = model()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            part.fit(rows)
    assert part.n_steps_ == 7
    part.save_checkpoint(tmp_path / "run.npz")
    same(SparseAutoencoder.load_checkpoint(tmp_path / "run.npz").resume(rows), whole)
    same(part.resume(rows), whole)


def test_partial_fit_takes_rows_in_their_order(rows):
    one, other = model(), model(n_latents=24)
    one.partial_fit(rows[:128])
    one.partial_fit(rows[128:192])
    other.partial_fit(rows[:128])
    for start in (128, 160):
        other.set_params(batch_size=64).partial_fit(rows[start : start + 32])
    assert one.n_steps_ == 3
    assert other.n_steps_ == 4
    again = model()
    again.partial_fit(rows[:128]).partial_fit(rows[128:192])
    assert (again.components_ == one.components_).all()


def test_partial_fit_tells_what_each_call_gave(rows, tmp_path):
    told = []
    fitted = model(callback=told.append, batch_size=32)
    fitted.partial_fit(rows[:96])
    start, W, b_enc, b_pre = fitted.history_, fitted.components_, fitted.b_enc_, fitted.b_pre_
    fitted.partial_fit(rows[96:128])
    history = fitted.history_
    assert history["iteration"].tolist() == [1, 2]
    assert (history[:1] == start).all()
    assert [state.fvu for state in told] == history["fvu"].tolist()
    # The second call is one step, from weights that are known.
    batch = rows[96:128]
    codes = latom.encode(batch, W, 3, b_enc=b_enc, b_pre=b_pre)
    back = latom.decode(codes, W, b_pre=b_pre)
    spread = ((batch - batch.mean(axis=0, dtype=np.float64)) ** 2).sum()
    assert history["fvu"][1] == pytest.approx(((batch - back) ** 2).sum() / spread, rel=1e-5)
    assert history["l0"][1] == codes.nnz / 32
    assert history["dead"][1] == fitted._run.trainer.dead(Recipe()).mean()
    fitted.set_params(callback=None).save_checkpoint(tmp_path / "run.npz")
    again = SparseAutoencoder.load_checkpoint(tmp_path / "run.npz")
    same(again.partial_fit(rows[128:]), fitted.partial_fit(rows[128:]))
    assert again.history_["iteration"].tolist() == [1, 2, 3]


def test_partial_fit_between_parts_of_a_fit_leaves_its_epochs_alone(rows):
    stopped = model(callback=lambda state: state.iteration == 2).fit(rows)
    stopped.set_params(callback=None).partial_fit(rows[:64])
    assert (stopped.n_epochs_, stopped.n_steps_) == (2, 11)
    stopped.resume(rows)
    assert stopped.n_epochs_ == 4
    assert stopped.history_["iteration"].tolist() == [1, 2, 3, 4, 5]
    assert stopped.n_steps_ == 21


def test_memory_mapped_rows_and_half_precision(rows, tmp_path):
    half = rows.astype(np.float16)
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "h.npy", half)
    same(model().fit(np.load(tmp_path / "x.npy", mmap_mode="r")), model().fit(rows))
    from_file = model().fit(np.load(tmp_path / "h.npy", mmap_mode="r"))
    same(from_file, model().fit(half.astype(np.float32)))
    assert from_file.components_.dtype == np.float32
    assert model().fit(rows.astype(np.float64)).components_.dtype == np.float64


def test_k_falls_by_its_schedule(rows):
    fitted = model(k_schedule=("linear", 12, 2), max_epochs=4).fit(rows)
    assert fitted.history_["l0"][0] > fitted.history_["l0"][1] > fitted.history_["l0"][2] + 0.1
    assert fitted.history_["l0"][3] <= 3


def test_averages_encode_where_asked(rows):
    plain, smooth = model().fit(rows), model(ema=0.9).fit(rows)
    assert (plain.history_["fvu"] == smooth.history_["fvu"]).all()
    assert (plain.components_ != smooth.components_).any()
    assert (smooth.components_ == smooth._run.trainer.arrays["ema_encoder"]).all()


@pytest.mark.parametrize(
    ("format", "activation"),
    [("saelens", "relu"), ("saelens", "abs"), ("sparsify", "relu"), ("sentence-transformers", "relu")],
)
def test_other_libraries_files(rows, format, activation, tmp_path):
    pytest.importorskip("safetensors")
    fitted = model(tied=format == "sentence-transformers", activation=activation).fit(rows)
    fitted.save_pretrained(tmp_path / "out", format)
    read = TopKEncoder.from_pretrained(tmp_path / "out")
    assert (read.transform(rows) != fitted.transform(rows)).nnz == 0
    codes = fitted.transform(rows)
    assert (read.inverse_transform(codes) == fitted.inverse_transform(codes)).all()
    assert (codes.data < 0).any() == (activation == "abs")
    for other in ("sparsify", "sentence-transformers"):
        if activation == "abs":
            with pytest.raises(ValueError, match="activation must be 'relu' in checkpoints of"):
                fitted.save_pretrained(tmp_path / "out", other)


def test_a_batch_model_is_written_with_its_threshold(rows, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    fitted = model(selection="batch").fit(rows)
    fitted.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "cfg.json").read_text())["architecture"] == "jumprelu"
    tensors = safetensors.load_file(tmp_path / "sae_weights.safetensors")
    assert (tensors["threshold"] == np.float32(fitted.threshold_)).all()
    p = (rows - tensors["b_dec"]) @ tensors["W_enc"] + tensors["b_enc"]
    wanted = np.where(p > fitted.threshold_, p, 0)
    assert abs(fitted.transform(rows).toarray() - wanted).max() < 1e-5
    with pytest.raises(ValueError, match="format must be 'saelens'"):
        fitted.save_pretrained(tmp_path, "sparsify")
    encoder = fitted.to_encoder()
    assert isinstance(encoder, latom.ThresholdEncoder)
    assert encoder.threshold == fitted.threshold_
    codes = fitted.transform(rows)
    assert (encoder.transform(rows) != codes).nnz == 0
    assert (encoder.inverse_transform(codes) == fitted.inverse_transform(codes)).all()
    read = latom.ThresholdEncoder.from_pretrained(tmp_path)
    assert (read.transform(rows) != codes).nnz == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": 0}, "k must be a positive integer"),
        ({"n_latents": 2.5}, "n_latents must be"),
        ({"activation": "gelu"}, "activation must be"),
        ({"selection": "batch", "activation": "abs"}, "activation must be 'relu'"),
        ({"aux_k": "all"}, "aux_k must be 'auto' or an integer of at least 0; got 'all'"),
        ({"sparse_output": 1}, "sparse_output must be True or False"),
        ({"aux_k": -1}, "aux_k must be"),
        ({"ema": 1.0}, "ema must be"),
        ({"k_schedule": 3}, "k_schedule must be"),
        ({"k_schedule": ("linear", 0, 1)}, "k_schedule"),
        ({"learning_rate": 0}, "learning_rate must be"),
        ({"learning_rate": np.nan}, "learning_rate must be"),
        ({"tied": 2}, "tied must be"),
        ({"unit_norm": None}, "unit_norm must be"),
        ({"optimizer": "sgd"}, "optimizer must be"),
        ({"pre_bias": "mode"}, "pre_bias must be"),
        ({"temperature": 0}, "temperature must be"),
        ({"dead_tokens": 0}, "dead_tokens must be"),
        ({"random_state": -1}, "random_state must be"),
        ({"verbose": -1}, "verbose must be"),
    ],
)
def test_refusals(rows, changes, words):
    with pytest.raises(ValueError, match=words):
        model(**changes).fit(rows)


def test_broken_checkpoints_are_refused(rows, tmp_path):
    file = tmp_path / "run.npz"
    with pytest.raises(FileNotFoundError, match="load_checkpoint"):
        SparseAutoencoder.load_checkpoint(file)
    file.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="checkpoint that can be read"):
        SparseAutoencoder.load_checkpoint(file)
    fitted = model(max_epochs=1).fit(rows)
    fitted.save_checkpoint(file)
    with np.load(file) as archive:
        parts = dict(archive)
    np.savez(file, **parts | {"trainer_last": parts["trainer_last"][:-1]})
    with pytest.raises(ValueError, match="last of shape"):
        SparseAutoencoder.load_checkpoint(file)


def test_a_clone_is_untrained_and_attributes_are_not_written_by_later_steps(rows):
    fitted = model(max_epochs=1).fit(rows)
    assert not hasattr(clone(fitted), "components_")
    kept, codes = fitted.components_, fitted.transform(rows)
    copy = kept.copy()
    fitted.partial_fit(rows)
    assert (kept == copy).all()
    assert (fitted.components_ != copy).any()
    assert (fitted.transform(rows) != codes).nnz > 0


@pytest.mark.parametrize("selection", ["row", "batch"])
def test_frames_and_dense_codes(rows, selection):
    plain = model(selection=selection, max_epochs=1).fit(rows)
    codes = plain.transform(rows)
    dense = plain.set_params(sparse_output=False).transform(rows)
    assert isinstance(dense, np.ndarray)
    assert (dense == codes.toarray()).all()
    assert (plain.inverse_transform(dense) == plain.inverse_transform(codes)).all()
    with pytest.raises(
        ValueError,
        match=r"^SparseAutoencoder\.inverse_transform: X must have a column .* 24 components; got 23",
    ):
        plain.inverse_transform(codes[:, :23])
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows, columns=[f"c{j}" for j in range(8)])
    named = clone(plain).fit(frame)  # warnings are errors here
    out = named.set_output(transform="pandas").transform(frame)
    assert out.columns[0] == "sparseautoencoder0"
    assert (out.to_numpy() == dense).all()
    named.set_params(sparse_output=True)
    words = r"^SparseAutoencoder\.transform: sparse_output must be False for set_output\(transform='pandas'\)"
    with pytest.raises(ValueError, match=words):
        named.transform(frame)
