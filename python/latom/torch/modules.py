"""Sparse autoencoders as modules of torch."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from latom._base.checks import check_choice, check_flag, check_integer
from latom.torch.operators import sparse_linear, topk_linear


class TopKSAE(nn.Module):
    """A k-sparse autoencoder: ``topk_linear``, then ``sparse_linear``.

    Parameters
    ----------
    d : int
        Columns of the rows.
    n_latents : int
    k : int
        Latents kept per row.
    tied : bool, default False
        The encoder's rows decode.
    activation : {"relu", "identity", "abs"}
        As in :func:`topk_linear`.
    dtype : torch.dtype, optional
        float32, float64 or bfloat16; None takes torch's default.

    Attributes
    ----------
    W_enc, W_dec : parameters of shape (n_latents, d)
        Equal rows of length 1 at first. W_dec is W_enc where weights are tied.
    b_enc : parameter of shape (n_latents,)
    b_pre : parameter of shape (d,)
        Subtracted before encoding, added after decoding.

    Notes
    -----
    ``forward`` gives the reconstruction, so that a loss is one line. On the CPU both directions are latom's
    core: never an array of rows times latents.

    References
    ----------
    Gao et al., "Scaling and evaluating sparse autoencoders", 2024.

    Examples
    --------
    >>> import torch
    >>> from latom.torch import TopKSAE
    >>> module, x = TopKSAE(8, 32, k=4), torch.randn(100, 8)
    >>> values, indices = module.encode(x)
    >>> tuple(values.shape), tuple(module(x).shape)
    ((100, 4), (100, 8))
    >>> ((module(x) - x) ** 2).mean().backward()
    >>> module.project_gradient()  # then a step of an optimizer, and
    >>> module.normalize_decoder()
    """

    def __init__(
        self,
        d: int,
        n_latents: int,
        k: int,
        *,
        tied: bool = False,
        activation: str = "relu",
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_choice(name, "activation", activation, ("relu", "identity", "abs"))
        self.activation = activation
        d, m = check_integer(name, "d", d), check_integer(name, "n_latents", n_latents)
        self.k = check_integer(name, "k", k, m)
        self.tied = check_flag(name, "tied", tied)
        rows = nn.functional.normalize(torch.randn(m, d, dtype=dtype), dim=1)
        self.W_enc = nn.Parameter(rows)
        self.W_dec = self.W_enc if self.tied else nn.Parameter(rows.clone())
        self.b_enc = nn.Parameter(torch.zeros(m, dtype=dtype))
        self.b_pre = nn.Parameter(torch.zeros(d, dtype=dtype))

    @classmethod
    def from_estimator(cls, model: Any) -> TopKSAE:
        """A module with the weights of a fitted :class:`latom.SparseAutoencoder` of selection "row".

        Raises
        ------
        ValueError
            Of selection "batch", which :class:`BatchTopKSAE` takes.
        """
        _check_selection(f"{cls.__name__}.from_estimator", model, "row", "BatchTopKSAE")
        module = cls(**_sizes(model), activation=model.activation)
        module._take(model)
        return module

    @torch.no_grad()
    def _take(self, model: Any) -> None:
        """Copies the weights of a fitted estimator."""
        self.W_enc.copy_(torch.as_tensor(model.encoder_components_))
        self.W_dec.copy_(torch.as_tensor(model.components_))
        self.b_enc.copy_(torch.as_tensor(model.b_enc_))
        if model.b_pre_ is not None:
            self.b_pre.copy_(torch.as_tensor(model.b_pre_))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(values, indices), both (..., k)."""
        return topk_linear(x - self.b_pre, self.W_enc, self.b_enc, k=self.k, activation=self.activation)

    def decode(self, values: Tensor, indices: Tensor) -> Tensor:
        """Rows (..., d) of what :meth:`encode` gives."""
        return sparse_linear(values, indices, self.W_dec, self.b_pre)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x."""
        return self.decode(*self.encode(x))

    @torch.no_grad()
    def normalize_decoder(self) -> None:
        """Scales the decoder's rows to length 1; to be called after each step of the optimizer."""
        self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True).clamp_min(torch.finfo(self.W_dec.dtype).tiny))

    @torch.no_grad()
    def project_gradient(self) -> None:
        """Leaves out of the decoder's gradient what would change lengths; to be called before a step."""
        if self.W_dec.grad is not None:
            along = (self.W_dec.grad * self.W_dec).sum(dim=1, keepdim=True)
            self.W_dec.grad.sub_(along * self.W_dec)


class BatchTopKSAE(TopKSAE):
    """A k-sparse autoencoder that keeps the k n largest pre-activations of n rows together (BatchTopK).

    In training the best of a batch are kept, at most ``room`` of a row. In evaluation it is what lies above
    ``threshold``, the smoothed least value that was kept, so that rows do not depend on each other.

    Parameters
    ----------
    d, n_latents, k, tied, dtype
        As in :class:`TopKSAE`; k is the mean over rows.
    room : int, optional
        Most latents of a row; None takes 4 k.
    rate : float, default 0.01
        What of the threshold a batch renews.

    References
    ----------
    Bussmann, Leask & Nanda, "BatchTopK sparse autoencoders", 2024.

    Examples
    --------
    >>> import torch
    >>> from latom.torch import BatchTopKSAE
    >>> module = BatchTopKSAE(8, 32, k=4)
    >>> values, indices = module.encode(torch.randn(100, 8))
    >>> tuple(values.shape), int((values > 0).sum()), bool(module.threshold > 0)
    ((100, 16), 400, True)
    """

    threshold: Tensor

    def __init__(
        self,
        d: int,
        n_latents: int,
        k: int,
        *,
        tied: bool = False,
        room: int | None = None,
        rate: float = 0.01,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(d, n_latents, k, tied=tied, dtype=dtype)
        most = 4 * k if room is None else check_integer(type(self).__name__, "room", room, n_latents, low=k)
        self.room, self.rate = min(most, n_latents), rate
        self.register_buffer("threshold", torch.zeros((), dtype=torch.float64))

    @classmethod
    def from_estimator(cls, model: Any, *, room: int | None = None) -> BatchTopKSAE:
        """A module with the weights and the threshold of a fitted estimator of selection "batch".

        After ``eval()`` it keeps what the estimator's ``transform`` keeps, but at most ``room`` latents per
        row.

        Parameters
        ----------
        model : SparseAutoencoder
            Fitted, of selection "batch".
        room : int, optional
            Most latents of a row; None takes 4 k.

        Raises
        ------
        ValueError
            Of selection "row", which :class:`TopKSAE` takes.
        """
        _check_selection(f"{cls.__name__}.from_estimator", model, "batch", "TopKSAE")
        module = cls(**_sizes(model), room=room)
        module._take(model)
        module.threshold.fill_(max(model.threshold_, 0.0))
        return module

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(values, indices), both (..., room); values that are not kept are 0."""
        values, indices = topk_linear(x - self.b_pre, self.W_enc, self.b_enc, k=self.room)
        if not self.training:
            return values * (values.detach() > self.threshold), indices
        flat = values.detach().reshape(-1)
        wanted = min(self.k * (flat.numel() // self.room), flat.numel())
        kept = torch.zeros_like(flat, dtype=torch.bool)
        if wanted:
            kept[flat.topk(wanted).indices] = True
        kept &= flat > 0
        if kept.any():
            least = flat[kept].min().double()
            rate = self.rate if self.threshold > 0 else 1.0
            self.threshold += rate * (least - self.threshold)
        return values * kept.reshape(values.shape), indices


def _check_selection(name: str, model: Any, selection: str, other: str) -> None:
    """Refuse an estimator that is not fitted, or of which the other class is."""
    check_is_fitted(model)
    if model.selection != selection:
        raise ValueError(
            f"{name}: model must be of selection {selection!r}; got {model.selection!r}. "
            f"Use latom.torch.{other}.from_estimator."
        )


def _sizes(model: Any) -> dict[str, Any]:
    """Arguments of a module of the shape of a fitted estimator."""
    m, d = model.components_.shape
    dtype = torch.float64 if model.components_.dtype == "float64" else torch.float32
    return {
        "d": d,
        "n_latents": m,
        "k": min(model.k, m),
        "tied": model.to_encoder().W_dec is None,
        "dtype": dtype,
    }
