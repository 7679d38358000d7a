"""Arrays on a GPU: which device a call is for, what its arrays become, and where results go.

A call runs on the device that its arrays live on: those of torch, of CuPy, and of any library that offers
``__cuda_array_interface__``. Arrays of numpy go to a GPU only where ``device="cuda"`` asks for it. Results
come back in the library of the input, on its device, and on its current stream.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_dense, as_numpy
from latom._base.backend import cuda_module, is_cuda, refuse_build, refuse_device
from latom._base.checks import shown
from latom._base.foreign import is_tensor

_FLOATS = ("<f4", "<f8")


class DeviceArray:
    """Rows in device memory of latom's own, for what has no GPU library.

    It offers ``__cuda_array_interface__`` (version 3), so that other libraries can read it in place.

    Parameters
    ----------
    memory : latom._cuda.Memory
    shape : tuple of int
    dtype : dtype
    """

    def __init__(self, memory: Any, shape: tuple[int, ...], dtype: Any) -> None:
        self.memory = memory
        self.shape = shape
        self.dtype = np.dtype(dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.memory.pointer, False),
            "version": 3,
            "strides": None,
            "stream": None,
        }

    def to_numpy(self, stream: int = 0) -> NDArray[Any]:
        """A copy in the memory of the CPU; waits for the stream."""
        out = np.empty(self.shape, self.dtype)
        if out.size:
            self.memory.read(out, stream)
        return out


@dataclass(frozen=True)
class Place:
    """Where a call runs, and in whose memory its results are made."""

    module: ModuleType
    ordinal: int
    stream: int
    library: str  # "torch", "cupy", "cuda" for other device arrays, "numpy"

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array of the library on the device, not filled."""
        if self.library == "torch":
            torch = sys.modules["torch"]
            kind = {"f4": "float32", "f8": "float64", "i4": "int32"}[np.dtype(dtype).str[1:]]
            return torch.empty(shape, dtype=getattr(torch, kind), device=f"cuda:{self.ordinal}")
        if self.library == "cupy":
            cupy = sys.modules["cupy"]
            with cupy.cuda.Device(self.ordinal):
                return cupy.empty(shape, dtype)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return DeviceArray(self.memory(size), shape, dtype)

    def memory(self, size: int) -> Any:
        """Device memory of so many bytes."""
        try:
            return self.module.Memory(size, self.ordinal)
        except MemoryError as error:
            raise MemoryError(
                f"latom: the GPU must have {size} bytes of free memory for this call; got fewer. Pass fewer "
                "rows at a time."
            ) from error

    def upload(self, array: NDArray[Any]) -> DeviceArray:
        """A copy of the array on the device."""
        copied = DeviceArray(self.memory(array.nbytes), array.shape, array.dtype)
        copied.memory.write(array, self.stream)
        return copied

    def result(self, made: Any) -> Any:
        """What a user gets of an array that :meth:`empty` made."""
        return made.to_numpy(self.stream) if self.library == "numpy" else made


def place_of(function: str, device: Any, **arrays: Any) -> Place | None:
    """Where a call with these arrays runs; None for the CPU.

    Raises
    ------
    ValueError
        If device is none, or the arrays lie on different devices, or a GPU is asked for that is not there.
    """
    homes = {name: home for name, X in arrays.items() if (home := _home(X)) is not None}
    if not homes:
        if device in (None, "cpu"):
            return None
        if not is_cuda(device):
            refuse_device(function, device)
        ordinal = int(str(device).partition(":")[2] or 0)
        return Place(_module(function, device, ordinal), ordinal, 0, "numpy")
    names = {name: f"cuda:{ordinal}" for name, (ordinal, _, _) in homes.items()}
    names.update({name: "the CPU" for name, X in arrays.items() if X is not None and name not in names})
    wanted = str(device) if device is not None else next(iter(names.values()))
    wanted = "cuda:0" if wanted == "cuda" else "the CPU" if wanted == "cpu" else wanted
    if set(names.values()) | {wanted} != {wanted}:
        where = ", ".join(f"{name} on {at}" for name, at in names.items())
        raise ValueError(
            f"{function}: device must be the one that all arrays lie on; got {shown(device)} with {where}. "
            "Move them to one device."
        )
    ordinal, stream, library = next(iter(homes.values()))
    return Place(_module(function, wanted, ordinal), ordinal, stream, library)


def _module(function: str, device: Any, ordinal: int) -> ModuleType:
    module = cuda_module()
    if module is None:
        refuse_build(function, device)
    count, reason = module.devices()
    if ordinal >= count:
        raise ValueError(
            f"{function}: device must be one of the {count} GPUs that CUDA finds; got {shown(device)}. "
            f"{reason or 'Use one of them'}."
        )
    return module


def _home(X: Any) -> tuple[int, int, str] | None:
    """(device, stream, library) of an array on a GPU; None for others."""
    if is_tensor(X):
        if X.device.type != "cuda":
            return None
        ordinal = X.device.index
        return ordinal, sys.modules["torch"].cuda.current_stream(ordinal).cuda_stream, "torch"
    interface = getattr(X, "__cuda_array_interface__", None)
    if interface is None:
        return None
    if type(X).__module__.partition(".")[0] == "cupy":
        return X.device.id, sys.modules["cupy"].cuda.get_current_stream().ptr, "cupy"
    stream = interface.get("stream") or 0
    return 0, 0 if stream == 1 else stream, "cuda"  # 1 stands for the default stream


def as_device_rows(function: str, place: Place, X: Any, name: str, dtype: Any = None) -> tuple[int, Any, Any]:
    """(pointer, owner, dtype) of C-contiguous rows of float32 or float64 on the device."""
    if _home(X) is None:
        rows = as_dense(function, X, name)
        held = place.upload(rows.astype(dtype, copy=False) if dtype else rows)
        return held.memory.pointer, held, held.dtype
    if len(X.shape) != 2 or 0 in X.shape:
        raise ValueError(
            f"{function}: {name} must have two dimensions, and at least one row and one column; got shape "
            f"{tuple(X.shape)}. Reshape it."
        )
    if is_tensor(X):
        torch = sys.modules["torch"]
        kind = torch.float64 if X.dtype == torch.float64 or dtype == np.float64 else torch.float32
        if not (X.is_floating_point() and X.layout == torch.strided):
            raise TypeError(
                f"{function}: {name} must hold real numbers in a dense tensor; got {X.dtype}. "
                f"Pass {name}.float()."
            )
        tensor = X.detach().to(kind).contiguous()
        return tensor.data_ptr(), tensor, np.dtype(str(kind).split(".")[1])
    if place.library == "cupy":
        cupy = importlib.import_module("cupy")
        kept = np.float64 if X.dtype == np.float64 or dtype == np.float64 else np.float32
        array = cupy.ascontiguousarray(X, kept)
        return array.data.ptr, array, np.dtype(kept)
    interface = X.__cuda_array_interface__
    own = np.dtype(interface["typestr"])
    if interface["typestr"] not in _FLOATS or interface.get("strides") is not None or own != (dtype or own):
        raise TypeError(
            f"{function}: {name} must hold {np.dtype(dtype or 'float32').name} in C order; got "
            f"{interface['typestr']} with strides {interface.get('strides')}. Convert it in its library."
        )
    return interface["data"][0], X, own


def device_dtype(X: Any) -> np.dtype[Any]:
    """The type that rows are computed in: float32 for float32 and halves, else float64."""
    if _home(X) is None:
        return as_numpy("latom", X, "X").dtype if not isinstance(X, np.ndarray) else _computed(X.dtype)
    kind = str(X.dtype).rpartition(".")[2] if hasattr(X, "dtype") else X.__cuda_array_interface__["typestr"]
    return np.dtype(np.float64 if kind in ("float64", "<f8") else np.float32)


def _computed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    half = dtype.name in ("float16", "bfloat16", "float32")
    return np.dtype(np.float32 if half else np.float64)
