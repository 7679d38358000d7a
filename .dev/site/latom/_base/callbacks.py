"""scikit-learn's callbacks (1.9 and later): the tasks of a fit, and the hooks that they call.

A fit is one task; each of its starts is a task below it, and each iteration one below its start. Where no
callback is set, no task is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

Attributes: TypeAlias = Callable[[], dict[str, Any]]
"""Makes the attributes of an estimator as fitted so far; called only where a callback asks for them."""
Method = TypeVar("Method", bound=Callable[..., Any])


class _NoCallbacks:
    """Stands where scikit-learn has no callbacks."""


def _keep(method: Any) -> Any:
    return method


try:
    from sklearn import callback as _theirs
except ImportError:  # scikit-learn before 1.9
    _theirs = None
CallbackSupport: Any = getattr(_theirs, "CallbackSupportMixin", _NoCallbacks)
_manage: Any = getattr(_theirs, "with_callbacks", _keep)


def with_callbacks(method: Method) -> Method:
    """The method of an estimator that fits: callbacks are torn down after it, also where it raises."""
    return cast(Method, _manage(method))


class FitTasks:
    """The task of a fit, with one task below it for each start.

    Parameters
    ----------
    estimator : estimator
        Whose callbacks are called.
    starts : int
        Starts, at most.
    X, y : object
        What the fit was given, for callbacks that ask for it.
    sample_weight : object, optional
        Reaches callbacks as ``metadata["sample_weight"]``.
    """

    def __init__(self, estimator: Any, starts: int, X: Any, y: Any = None, sample_weight: Any = None) -> None:
        self.estimator = estimator
        self.given: dict[str, Any] = {"estimator": estimator, "X": X, "y": y, "metadata": None}
        if sample_weight is not None:
            self.given["metadata"] = {"sample_weight": sample_weight}
        self.context: Any = None
        heard = getattr(estimator, "_skl_callbacks", None) or hasattr(estimator, "_parent_callback_ctx")
        if heard and hasattr(estimator, "_init_callback_context"):
            self.context = estimator._init_callback_context(max_subtasks=starts)
            self.context.call_on_fit_task_begin(**self.given)

    def start(self, iterations: int) -> StartTask:
        """The next start, of at most so many iterations."""
        return StartTask(self, iterations)

    def end(self) -> None:
        """Ends the fit; the estimator holds what it has learned."""
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.given, reconstruction_attributes=dict)


class StartTask:
    """The task of one start, with one task below it for each iteration."""

    def __init__(self, fit: FitTasks, iterations: int) -> None:
        self._given = fit.given
        self._context: Any = None
        self._iteration: Any = None
        if fit.context is not None:
            self._context = fit.context.subcontext("start", max_subtasks=iterations)
            self._context.call_on_fit_task_begin(**self._given)

    def begin_iteration(self) -> None:
        """Begins the next iteration."""
        if self._context is not None:
            self._iteration = self._context.subcontext("iteration")
            self._iteration.call_on_fit_task_begin(**self._given)

    def end_iteration(self, attributes: Attributes) -> bool:
        """Ends the iteration; says whether a callback asks for it to be the last."""
        return self._end(self._iteration, attributes)

    def end(self, attributes: Attributes) -> bool:
        """Ends the start; says whether a callback asks for it to be the last."""
        return self._end(self._context, attributes)

    def _end(self, context: Any, attributes: Attributes) -> bool:
        if context is None:
            return False
        return bool(context.call_on_fit_task_end(**self._given, reconstruction_attributes=attributes))
