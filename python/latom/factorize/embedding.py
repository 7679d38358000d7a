"""What TruncatedSVD, FastRP and PMIFactorization share."""

from __future__ import annotations

from typing import Any, TypeVar

from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.checks import check_integer
from latom._base.estimator import Estimator, validated_rows
from latom._base.rows import Rows
from latom.factorize.not_negative import check_not_negative

Own = TypeVar("Own", bound="Embedding")


class Embedding(Estimator):
    """Rows of dense or sparse X in few columns, found by one call without a criterion to stop."""

    _takes_sparse = True

    n_components: int
    components_: Any

    def fit(self: Own, X: Matrix, y: Any = None) -> Own:
        """Fit to X, as :meth:`fit_transform` does.

        Parameters
        ----------
        X, y
            As in :meth:`fit_transform`.

        Returns
        -------
        self
        """
        self._fit(f"{type(self).__name__}.fit", X)
        return self

    def _fit(self, name: str, X: Matrix) -> Any:
        """What ``fit_transform`` returns."""
        raise NotImplementedError

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    def _check_n_components(self, name: str, shape: tuple[int, int]) -> int:
        """At most the rows and columns of X."""
        k = check_integer(name, "n_components", self.n_components)
        if k > min(shape):
            raise ValueError(
                f"{name}: n_components must be at most the rows and the columns of X; got {k} for "
                f"n_samples={shape[0]} and n_features={shape[1]}. Lower it to {min(shape)}."
            )
        return k

    def _non_negative(self, name: str, X: Matrix, reset: bool, where: str, remedy: str) -> Rows:
        """The prepared X, which must not be negative."""
        rows = validated_rows(self, name, X, reset)
        check_not_negative(call(name, self.n_threads), rows, remedy, where=where)
        return rows
