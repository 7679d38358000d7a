"""What estimators share that turn rows into sparse codes."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp
from sklearn import get_config

from latom._base.arrays import Matrix, as_rows
from latom._base.backend import call
from latom._base.csr import as_csr
from latom._base.estimator import Estimator, validated_rows
from latom._base.rows import Rows
from latom._base.sparse_tensor import as_scipy
from latom.encode.atoms import unstacked


class BaseEncoder(Estimator):
    """Nothing is learned unless a class says so."""

    sparse_output: bool

    def _rows(self, name: str, X: Any, reset: bool) -> Rows:
        rows = validated_rows(self, name, unstacked(name, X)[0], reset=reset, accept_sparse=False)
        if reset:
            rows.core.norm2(call(name))  # a fit that computes nothing refuses NaN and infinity all the same
        return rows

    def _rows_to_code(self, name: str, X: Any) -> Rows:
        """Rows of ``transform``, which refuses to put sparse codes into frames."""
        rows = self._rows(name, X, reset=False)
        frames = getattr(self, "_sklearn_output_config", {}).get(
            "transform", get_config()["transform_output"]
        )
        if self.sparse_output and frames != "default":
            raise ValueError(
                f"{name}: sparse_output must be False for set_output(transform={frames!r}); got True. "
                f"Set it to False: {frames.capitalize()} output does not support sparse data."
            )
        return rows

    def _given_codes(self, name: str, X: Any) -> Matrix:
        """Codes of ``inverse_transform``: a matrix, sparse or dense, or a tensor of either kind."""
        X = as_scipy(name, X)
        return as_csr(name, X if sp.issparse(X) else sp.csr_array(as_rows(name, X, "X")), "X")

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags
