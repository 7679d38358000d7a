"""What estimators share that turn rows into sparse codes."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn import get_config

from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.checks import check_code_columns
from latom._base.estimator import Estimator, validated_rows
from latom._base.rows import Rows
from latom.encode.atoms import unstacked
from latom.encode.tensors import given_codes


class BaseEncoder(Estimator):
    """Nothing is learned unless a class says so."""

    _learns: ClassVar[bool] = False
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

    def _given_codes(self, name: str, X: Any, columns: int) -> Matrix:
        """Codes of ``inverse_transform``: a matrix, sparse or dense, or a tensor of either kind."""
        codes = given_codes(name, X, "X")
        check_code_columns(name, codes.shape[1], columns)
        return codes

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = self._learns
        return tags
