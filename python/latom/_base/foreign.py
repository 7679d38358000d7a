"""The door through which arrays of every library come in: what they become, or why they are refused.

numpy's own arrays of real numbers pass as they are. Tensors, DLPack arrays, half precision and lists become
such arrays, without a copy where numpy can read their memory. What is refused is refused here, by one rule
for all functions and arguments: entries behind a mask, sparse matrices where dense ones are asked for, memory
of a GPU, and what does not hold real numbers.
"""

from __future__ import annotations

import sys
from numbers import Real
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_HALVES = ("float16", "bfloat16")


def as_array(function: str, X: Any, name: str) -> tuple[NDArray[Any], str]:
    """X as an array of real numbers of any shape, and the name of its storage.

    Half precision comes as 16-bit patterns (uint16), and "float16" or "bfloat16" says of what; "" else.
    """
    if type(X) is np.ndarray:
        if _is_plain(X.dtype):
            return X, ""
        array = X
    elif is_tensor(X):
        array, brain = _from_tensor(function, X, name)
        if brain:
            return array.view(np.uint16), "bfloat16"
    else:
        refuse_stream(function, X, name)
        refuse_masked(function, X, name)
        refuse_sparse(function, X, name)
        if hasattr(X, "__dlpack_device__") and not hasattr(X, "__array__"):
            array = _from_dlpack(function, X, name)
        else:
            array = _from_anything(function, X, name)
    if array.dtype.kind == "O":
        array = _from_objects(function, array, X, name)
    if _is_plain(array.dtype):
        return array, ""
    if array.dtype.char == "e":
        return np.asarray(array, np.float16).view(np.uint16), "float16"  # in this machine's order of bytes
    if array.dtype.name != "bfloat16":
        refuse_type(function, name, f"dtype {array.dtype}")
    return array.view(np.uint16), "bfloat16"


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Real numbers, but for float16."""
    return dtype.kind in "fiub" and dtype.char != "e"


def is_foreign(X: Any) -> bool:
    """Whether scikit-learn's checks would widen, copy or refuse what :func:`as_array` takes as it is."""
    if type(X) is np.ndarray and _is_plain(X.dtype):
        return False
    half = getattr(getattr(X, "dtype", None), "name", "") in _HALVES
    return half or is_tensor(X) or (hasattr(X, "__dlpack_device__") and not hasattr(X, "__array__"))


def is_tensor(X: Any) -> bool:
    """Whether X is a torch tensor; torch itself is not imported for the question."""
    return any(c.__module__ == "torch" and c.__name__ == "Tensor" for c in type(X).__mro__)


def refuse_masked(function: str, X: Any, name: str, nan_is_missing: bool = False) -> None:
    """A TypeError for a masked array with entries that its mask hides: they would be computed with.

    Where NaN is missing, zeros in their place would count as observed.
    """
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        hidden = int(np.ma.getmaskarray(X).sum())
        remedy = (
            f"Fill them, for example with {name}.filled(0); NMF leaves entries out, by its argument mask."
        )
        if nan_is_missing:
            remedy = f"Fill them with what is missing here: {name}.astype(float).filled(numpy.nan)."
        raise TypeError(
            f"{function}: {name} must not be masked; got an array with {hidden} of {X.size} entries masked. "
            f"{remedy}"
        )


def refuse_sparse(function: str, X: Any, name: str = "X") -> None:
    """A TypeError for who asks for dense rows and gets sparse ones."""
    tensor = is_tensor(X) and str(X.layout) != "torch.strided"
    if tensor or sp.issparse(X):
        got = f"a tensor of {X.layout}" if tensor else type(X).__name__
        remedy = f"Densify it in blocks of rows, for example {name}[i : i + 4096].toarray()."
        if tensor:  # those in COO cannot be cut
            remedy = f"Densify it, for example with {name}.to_dense()."
        raise TypeError(f"{function}: {name} must be dense, not sparse; got {got}. {remedy}")


def refuse_stream(function: str, X: Any, name: str) -> None:
    """A TypeError for a stream of blocks where rows in memory are asked for."""
    if hasattr(X, "rows_at"):  # of latom.Stream, which imports this
        raise TypeError(
            f"{function}: {name} must be rows in memory; got {type(X).__name__}. Pass its blocks one by one, "
            "or an array."
        )


def refuse_type(
    function: str,
    name: str,
    got: str,
    cause: Exception | None = None,
    remedy: str = "Convert it to float32 or float64.",
) -> NoReturn:
    """The TypeError for what does not hold real numbers."""
    got = got if len(got) <= 80 else got[:77] + "..."
    raise TypeError(f"{function}: {name} must hold real numbers; got {got}. {remedy}") from cause


def _from_tensor(function: str, X: Any, name: str) -> tuple[NDArray[Any], bool]:
    """A tensor's memory, and whether it is the bits of bfloat16, which numpy has not."""
    if X.device.type != "cpu":
        raise TypeError(
            f"{function}: {name} must lie in the memory of the CPU; got a tensor on {X.device}. "
            f"Pass {name}.cpu()."
        )
    refuse_sparse(function, X, name)
    torch = sys.modules["torch"]
    brain = X.dtype == torch.bfloat16
    try:
        X = X.detach().resolve_conj().resolve_neg()
        return (X.contiguous().view(torch.int16) if brain else X).numpy(), brain
    except (RuntimeError, TypeError) as error:  # quantized, nested, and types that numpy has not
        kind = "a nested tensor" if X.is_nested else "a tensor"
        refuse_type(function, name, f"{kind} of {X.dtype}", error)


def _from_dlpack(function: str, X: Any, name: str) -> NDArray[Any]:
    if X.__dlpack_device__()[0] != 1:  # kDLCPU
        raise TypeError(
            f"{function}: {name} must lie in the memory of the CPU; got a DLPack array on device "
            f"{tuple(X.__dlpack_device__())}. Copy it to the CPU first."
        )
    try:
        return np.from_dlpack(X)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        refuse_type(function, name, f"a DLPack array that numpy cannot read, {type(X).__name__}", error)


def _from_anything(function: str, X: Any, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.asarray(X)
    except Exception as error:  # of another library's __array__, or of rows that differ in length
        got = f"{type(X).__name__} that numpy makes no array of"
        refuse_type(function, name, got, error, "Pass an array, whose rows all have one length.")
    return array


def _from_objects(function: str, objects: NDArray[Any], X: Any, name: str) -> NDArray[np.float64]:
    """Python's numbers, as Decimal or Fraction are, as float64; not the text of a number."""
    kinds = set(map(type, objects.flat))
    if X is None:
        refuse_type(function, name, "None", remedy="Pass an array.")
    if any(issubclass(kind, (str, bytes)) for kind in kinds):
        refuse_type(function, name, "text")
    try:
        return objects.astype(np.float64)
    except OverflowError as error:
        refuse_type(function, name, "a number beyond those of float64", error)
    except (TypeError, ValueError) as error:
        others = sorted(kind.__name__ for kind in kinds if not issubclass(kind, Real))
        refuse_type(function, name, "objects of type " + ", ".join(others), error)
