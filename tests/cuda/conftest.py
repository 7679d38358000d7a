"""The GPU's extension without a GPU: its kernels on an emulated machine, as ``latom._cuda``."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

import latom

ROOT = Path(__file__).parents[2]
SOURCES = ("csrc/bindings_cuda/module.cpp", "csrc/cuda/topk.cu", "csrc/cuda/plain_product.cu")
FLAGS = ["-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-Wall", "-Wextra"]
FLAGS += ["-Werror", "-Wno-psabi"]


def compiler() -> str:
    """g++, which knows the float16 that the emulation needs; skips without it or without the sources."""
    found = shutil.which("g++")
    if found is None or not (ROOT / "csrc").exists():
        pytest.skip("no g++, or the sources are not here")
    if sys.platform != "linux" or sysconfig.get_platform() != "linux-x86_64":
        pytest.skip("the emulation's fibers are written for Linux on x86-64")
    return found


def run_all(commands: list[list[str]]) -> None:
    """Commands side by side; the output of one that fails is shown."""
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
        for command in commands
    ]
    for process in running:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output[-8000:]


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
            [program, *FLAGS, *include, "-x", "c++", "-c", source, "-o", str(made)]
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
