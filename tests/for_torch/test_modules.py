"""Modules of torch: they train, and take the weights of the estimator."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from latom import SparseAutoencoder  # noqa: E402
from latom.torch import BatchTopKSAE, TopKSAE  # noqa: E402


def rows(seed=0):
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((10, 6))
    codes = np.where(rng.random((200, 10)) < 0.2, rng.random((200, 10)) + 1, 0)
    return torch.tensor(codes @ atoms, dtype=torch.float32)


@pytest.mark.parametrize("kind", [TopKSAE, BatchTopKSAE])
@pytest.mark.parametrize("tied", [True, False])
def test_training_lowers_the_loss(kind, tied):
    torch.manual_seed(0)
    module, X = kind(6, 24, 3, tied=tied), rows()
    adam = torch.optim.Adam(module.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = ((module(X) - X) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        module.project_gradient()
        adam.step()
        module.normalize_decoder()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
    assert torch.allclose(module.W_dec.norm(dim=1), torch.ones(24))
    assert len(list(module.parameters())) == (3 if tied else 4)


def test_a_batch_shares_its_places_and_evaluation_has_a_threshold():
    torch.manual_seed(0)
    module, X = BatchTopKSAE(6, 24, 3), rows()
    values, indices = module.encode(X)
    assert values.shape == indices.shape == (200, 12)
    assert (values > 0).sum() == 600
    assert module.threshold == values[values > 0].min()
    module.eval()
    values, _ = module.encode(X)
    assert values[values > 0].min() > module.threshold
    alone, _ = module.encode(X[:1])
    assert (alone == values[:1]).all()
    again = BatchTopKSAE(6, 24, 3)
    again.load_state_dict(module.state_dict())
    assert again.threshold == module.threshold


@pytest.mark.parametrize(
    ("tied", "activation"), [(True, "relu"), (False, "relu"), (True, "abs"), (False, "identity")]
)
def test_it_takes_the_weights_of_the_estimator(tied, activation):
    X = rows()
    model = SparseAutoencoder(24, 3, tied=tied, activation=activation, max_epochs=2, random_state=0)
    model.fit(X.numpy())
    module = TopKSAE.from_estimator(model)
    assert module.tied == tied
    wanted = model.inverse_transform(model.transform(X.numpy()))
    assert np.allclose(module(X).detach().numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_a_batch_module_takes_weights_and_threshold(tied):
    X = rows()
    model = SparseAutoencoder(24, 3, tied=tied, selection="batch", max_epochs=2, random_state=0)
    model.fit(X.numpy())
    module = BatchTopKSAE.from_estimator(model, room=24).eval()
    assert (module.tied, module.k, module.room) == (tied, 3, 24)
    assert module.threshold.item() == model.threshold_ > 0
    codes = model.transform(X.numpy())
    values, indices = module.encode(X)
    assert np.allclose(
        torch.zeros(200, 24).scatter_add(1, indices, values.detach()), codes.toarray(), atol=1e-5
    )
    assert np.allclose(module(X).detach().numpy(), model.inverse_transform(codes), atol=1e-5)
    assert BatchTopKSAE.from_estimator(model).room == 12
    with pytest.raises(
        ValueError, match=r"^TopKSAE\.from_estimator: model must be .*Use latom\.torch\.BatchTopKSAE"
    ):
        TopKSAE.from_estimator(model)
    model.set_params(selection="row").fit(X.numpy())
    with pytest.raises(ValueError, match=r"^BatchTopKSAE\.from_estimator: model .*Use latom\.torch\.TopKSAE"):
        BatchTopKSAE.from_estimator(model)


def test_refusals():
    with pytest.raises(ValueError, match="activation must be 'relu', 'identity' or 'abs'"):
        TopKSAE(3, 4, 2, activation="gelu")
    with pytest.raises(ValueError, match="k must be an integer in"):
        TopKSAE(3, 4, 5)
    with pytest.raises(ValueError, match="room must be an integer in"):
        BatchTopKSAE(3, 8, 2, room=1)
