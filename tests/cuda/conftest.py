"""The GPU's extension without a GPU: its kernels on an emulated machine, as ``latom._cuda``."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest
from compiling import SOURCES, compiler, run_all

import latom

FLAGS = ["-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-Wall", "-Wextra"]
FLAGS += ["-Werror", "-Wno-psabi"]


def _fast(source: str) -> list[str]:
    """Bindings run once per call: what counts is how long they take to compile."""
    return ["-O0"] if "bindings_cuda" in source else []


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The extension, compiled by g++ against the emulation."""
    pybind11 = pytest.importorskip("pybind11")
    folder, program = tmp_path_factory.mktemp("cuda"), compiler()
    include = ["-Icsrc", "-Icsrc/include", f"-isystem{pybind11.get_include()}"]
    include += [f"-isystem{sysconfig.get_path('include')}"]
    objects = [folder / (Path(source).stem + ".o") for source in SOURCES]
    run_all(
        [
            [program, *FLAGS, *include, *_fast(source), "-x", "c++", "-c", source, "-o", str(made)]
            for source, made in zip(SOURCES, objects, strict=True)
        ]
    )
    library = folder / f"_cuda{sysconfig.get_config_var('EXT_SUFFIX')}"
    run_all([[program, "-shared", *map(str, objects), "-o", str(library)]])
    spec = importlib.util.spec_from_file_location("latom._cuda", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["forward", "reverse", "7"])
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The order in which the emulation takes threads; no result may depend on it."""
    monkeypatch.setenv("LATOM_SIMT_ORDER", request.param)
    return str(request.param)


@pytest.fixture
def cuda(emulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """latom as if it had been built with CUDA, on a machine with one GPU."""
    monkeypatch.setitem(sys.modules, "latom._cuda", emulated)
    monkeypatch.setattr(latom, "_cuda", emulated, raising=False)
    return emulated


@pytest.fixture(scope="session")
def ptx(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """PTX of all kernels, by source."""
    nvcc = shutil.which("nvcc")
    if nvcc is None or not SOURCES:
        pytest.skip("no nvcc, or the sources are not here")
    folder = tmp_path_factory.mktemp("ptx")
    command = [nvcc, "-std=c++20", "-O3", "-fmad=false", "-arch=compute_80", "-DLATOM_CUDA"]
    command += ["-Icsrc", "-Icsrc/include", "-ptx"]
    files = [Path(source) for source in SOURCES if source.endswith(".cu")]
    run_all([[*command, str(file), "-o", str(folder / file.stem)] for file in files])
    return {file.stem: (folder / file.stem).read_text() for file in files}
