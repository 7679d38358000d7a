"""What estimators share that turn rows into sparse codes, and keep their atoms packed."""

from __future__ import annotations

import operator
from typing import Any, TypeVar

import scipy.sparse as sp
from sklearn import get_config

from latom._base.arrays import Matrix, as_rows
from latom._base.csr import as_csr
from latom._base.estimator import Estimator, validated_rows
from latom._base.rows import Rows
from latom.encode.atoms import unstacked
from latom.encode.tensors import from_sparse_tensor, is_sparse_tensor

Made = TypeVar("Made")


class BaseEncoder(Estimator):
    """Nothing is learned unless a class says so; what is made of its parameters is kept, and not pickled."""

    sparse_output: bool

    def _rows(self, name: str, X: Any, reset: bool) -> Rows:
        return validated_rows(self, name, unstacked(name, X)[0], reset=reset, accept_sparse=False)

    def _rows_to_code(self, name: str, X: Any) -> Rows:
        """Rows of ``transform``, which refuses to put sparse codes into frames."""
        rows = self._rows(name, X, reset=False)
        frames = getattr(self, "_sklearn_output_config", {}).get(
            "transform", get_config()["transform_output"]
        )
        if self.sparse_output and frames != "default":
            raise ValueError(
                f"{name}: sparse_output must be False for set_output(transform={frames!r}); got True. "
                "Set it to False: frames hold no sparse codes."
            )
        return rows

    def _given_codes(self, name: str, X: Any) -> Matrix:
        """Codes of ``inverse_transform``: a matrix, sparse or dense, or a tensor of either kind."""
        if is_sparse_tensor(X):
            X = from_sparse_tensor(name, X, "X")
        return as_csr(name, X if sp.issparse(X) else sp.csr_array(as_rows(name, X, "X")), "X")

    def _kept(self, parts: tuple[Any, ...]) -> Any:
        """What was made of these very objects, where it was the last; None where it was not."""
        made, kept = getattr(self, "_cache", ((), None))
        return kept if len(made) == len(parts) and all(map(operator.is_, made, parts)) else None

    def _keep(self, parts: tuple[Any, ...], made: Made) -> Made:
        """Keeps it; returns what a thread that was faster has made, so that all take the same."""
        earlier: Made | None = self._kept(parts)
        if earlier is not None:
            return earlier
        self._cache = (parts, made)
        return made

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_cache", None)
        return state
