"""Arrays on a GPU: which device a call is for, what its arrays become, and where results go.

A call runs on the device that its arrays live on: those of torch, of CuPy, and of any library that offers
``__cuda_array_interface__``. Arrays of numpy go to a GPU only where ``device="cuda"`` asks for it. Results
come back in the library of the input, on its device, and on its current stream.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import as_numpy
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
            kind = getattr(torch, np.dtype(dtype).name)
            return torch.empty(shape, dtype=kind, device=torch_device(self.ordinal))
        if self.library == "cupy":
            cupy = sys.modules["cupy"]
            with cupy.cuda.Device(self.ordinal):
                return cupy.empty(shape, dtype)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return DeviceArray(self.memory(size), shape, dtype)

    def memory(self, size: int) -> Any:
        """Device memory of so many bytes."""
        return self.make(size, lambda: self.module.Memory(size, self.ordinal))

    def make(self, size: int, maker: Callable[[], Any]) -> Any:
        """What maker() gives, which takes so many bytes of the device; a MemoryError says how many."""
        try:
            return maker()
        except MemoryError as error:
            free, total = self.module.memory_info(self.ordinal)
            raise MemoryError(
                f"latom: cuda:{self.ordinal} must have {size} bytes of free memory for this call; got "
                f"{free} of {total}. Pass fewer rows at a time, or arrays of the CPU, which come in blocks."
            ) from error

    def upload(self, array: NDArray[Any]) -> DeviceArray:
        """A copy of the array on the device."""
        copied = DeviceArray(self.memory(array.nbytes), array.shape, array.dtype)
        copied.memory.write(array, self.stream)
        return copied

    def result(self, made: Any) -> Any:
        """What a user gets of an array that :meth:`empty` made."""
        return made.to_numpy(self.stream) if self.library == "numpy" else made

    def put(self, array: NDArray[Any]) -> Any:
        """An array of the CPU as one of the library, on the device."""
        if self.library == "numpy":
            return array
        made = self.empty(array.shape, array.dtype)
        if self.library == "torch":
            made.copy_(sys.modules["torch"].from_numpy(np.ascontiguousarray(array)))
        elif self.library == "cupy":
            made.set(np.ascontiguousarray(array))
        elif array.size:
            made.memory.write(np.ascontiguousarray(array), self.stream)
        return made

    def fetch(self, X: Any) -> Any:
        """A copy of an array of the device in the memory of the CPU; other arrays as they are."""
        if not lies_on_gpu(X):
            return X
        if is_tensor(X):
            return X.detach().cpu()
        if hasattr(X, "get"):
            return X.get()
        if isinstance(X, DeviceArray):
            return X.to_numpy(self.stream)
        pointer, owner, dtype = as_device_rows("latom", X, "X")
        out = np.empty(owner.shape, dtype)
        self.module.copy_out(pointer, out, self.ordinal, self.stream)
        return out

    def joined(self, pieces: list[Any], dtype: Any) -> Any:
        """Arrays of one dimension, of the library or of the CPU, one after the other."""
        if not pieces:
            return self.result(self.empty((0,), dtype))
        if len(pieces) == 1:
            return pieces[0]
        if self.library in ("torch", "cupy"):
            library = sys.modules[self.library]
            return library.cat(pieces) if self.library == "torch" else library.concatenate(pieces)
        return np.concatenate([self.fetch(piece) for piece in pieces])

    def as_codes(self, function: str, values: Any, indices: Any, dtype: Any) -> tuple[Any, Any, int]:
        """(values of a type, indices, bytes of one index) of codes on the device, in C order."""
        kinds = {"int32": 4, "int64": 8, "<i4": 4, "<i8": 8}
        kind = str(getattr(indices, "dtype", None) or indices.__cuda_array_interface__["typestr"])
        size = kinds.get(kind.rpartition(".")[2])
        if size is None:
            raise TypeError(
                f"{function}: codes must have real values and int32 or int64 indices; got {kind}. Pass "
                "(values, indices) in this order."
            )
        if self.library == "torch":
            torch = sys.modules["torch"]
            wide = values.detach().to(getattr(torch, np.dtype(dtype).name)).contiguous()
            return wide, indices.contiguous(), size
        if self.library == "cupy":
            cupy = sys.modules["cupy"]
            return cupy.ascontiguousarray(values, dtype), cupy.ascontiguousarray(indices), size
        for part, wanted in ((values, np.dtype(dtype).str), (indices, f"<i{size}")):
            about = part.__cuda_array_interface__
            if about["typestr"] != wanted or about.get("strides") is not None:
                raise TypeError(
                    f"{function}: codes must hold {wanted} in C order; got {about['typestr']} with strides "
                    f"{about.get('strides')}. Convert them in their library."
                )
        return values, indices, size

    def fetched(self, made: Any) -> NDArray[Any]:
        """:meth:`fetch`, as an array of numpy."""
        array: NDArray[Any] = np.asarray(self.fetch(made))
        return array

    def csr(self, indptr: NDArray[np.int64], indices: Any, values: Any, columns: int) -> Any:
        """Compressed rows in the library: sparse COO of torch, CSR of CuPy, else CSR of scipy."""
        n = len(indptr) - 1
        if self.library == "torch":
            torch = sys.modules["torch"]
            sizes = torch.from_numpy(np.diff(indptr)).to(values.device)
            row = torch.repeat_interleave(torch.arange(n, device=values.device), sizes)
            places = torch.stack([row, indices.to(torch.int64)])
            return torch.sparse_coo_tensor(
                places, values, (n, columns), is_coalesced=True, check_invariants=False
            )
        if self.library == "cupy":
            sparse = importlib.import_module("cupyx.scipy.sparse")
            starts = self.put(indptr.astype(np.int32 if indptr[-1] < 2**31 else np.int64))
            return sparse.csr_matrix((values, indices, starts), shape=(n, columns))
        width = np.int32 if indptr[-1] < 2**31 else np.int64
        indices, values = self.fetch(indices), self.fetch(values)
        parts = (values, indices.astype(width, copy=False), indptr.astype(width))
        return sp.csr_array(parts, shape=(n, columns))


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


def lies_on_gpu(X: Any) -> bool:
    """Whether an array lies in the memory of a GPU."""
    return _home(X) is not None


def torch_device(ordinal: int) -> str:
    """What torch calls a device."""
    return f"cuda:{ordinal}"


def pointer_of(array: Any) -> int:
    """Where an array of the device lies."""
    if hasattr(array, "data_ptr"):
        return int(array.data_ptr())
    return int(array.__cuda_array_interface__["data"][0])


def as_device_rows(function: str, X: Any, name: str, dtype: Any = None) -> tuple[int, Any, Any]:
    """(pointer, owner, dtype) of C-contiguous rows of float32 or float64 that lie on a device."""
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
    if type(X).__module__.partition(".")[0] == "cupy":
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
