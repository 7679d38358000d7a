"""Includes and imports point downward only: bindings, algorithms, kernels, core; estimators, arrays, core."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC = ROOT / "csrc"
PYTHON = ROOT / "python" / "latom"

SOURCES = sorted(path for path in CSRC.rglob("*") if path.suffix in (".h", ".cpp", ".cu", ".cuh"))
LAYERS = {"core": 0, "kernels": 1, "algorithms": 2, "cuda": 2, "bindings": 3, "bindings_cuda": 3}

# Without an inline function that could be emitted with a variant's instructions and linked for all.
FREESTANDING = {
    "cstdint",
    "stdint.h",
    "cstddef",
    "stddef.h",
    "limits.h",
    "float.h",
    "immintrin.h",
    "arm_neon.h",
}

# A module may import those of its own level and below; those not named here stand on top.
LEVELS = {
    "_core": 0,
    "_config": 1,
    "_arrays": 2,
    "_progress": 2,
    "_pretrained": 2,
    "_products": 3,
    "_nmf_init": 4,
    "_nmf_solvers": 4,
    "assignment": 3,
    "encoding": 3,
    "seeding": 3,
    "coreset": 3,
    "nmf_batch": 3,
    "cluster": 4,
    "topk_encoder": 4,
    "_row_blocks": 3,
    "_nmf_base": 5,
    "_semi_nmf_init": 5,
    "_semi_nmf": 5,
    "nmf": 6,
    "minibatch_nmf": 6,
    "semi_nmf": 6,
    "__init__": 7,
}
TOP = 8

if not CSRC.exists():
    pytest.skip("the sources are not here", allow_module_level=True)


def includes(path: Path) -> list[tuple[str, str]]:
    """(bracket, name) of each include."""
    return re.findall(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def layer(name: str) -> int | None:
    """Level of a path below csrc/; None for the contract, which all may see."""
    folder = name.split("/")[0]
    return None if folder in ("include", "latom") else LAYERS[folder]


def closure(path: Path) -> list[Path]:
    """A source and whatever of ours it includes, directly or not."""
    found, left = [], [path]
    while left:
        at = left.pop()
        if at not in found:
            found.append(at)
            left += [CSRC / name for bracket, name in includes(at) if bracket == '"']
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CSRC)))
def test_includes_point_downward(path: Path) -> None:
    own = layer(str(path.relative_to(CSRC)))
    for bracket, name in includes(path):
        if bracket == "<":
            if own != LAYERS["bindings"]:
                assert not re.match(r"(pybind11/|Python\.h|numpy/)", name), f"{name} belongs to bindings/"
            continue
        contract = CSRC / "include" / name
        assert (CSRC / name).exists() or contract.exists(), f"{name} is neither in csrc/ nor in csrc/include/"
        if own is None:
            assert contract.exists(), f"the contract includes {name}"
        elif not contract.exists():
            level = layer(name)
            assert level is not None
            assert level <= own, f"{name} stands above"


@pytest.mark.parametrize(
    "path",
    sorted((CSRC / "kernels").glob("*.inl.h")) + [CSRC / "kernels" / "variant.cpp"],
    ids=lambda path: path.name,
)
def test_kernels_include_nothing_that_emits_code(path: Path) -> None:
    for part in closure(path):
        assert part.parent == CSRC / "kernels", part
        system = {name for bracket, name in includes(part) if bracket == "<"}
        assert system <= FREESTANDING, f"{part.name}: {system - FREESTANDING}"


@pytest.mark.parametrize("path", sorted((CSRC / "kernels").glob("*.inl.h")), ids=lambda path: path.name)
def test_kernels_neither_allocate_nor_throw(path: Path) -> None:
    code = re.sub(r"//.*", "", path.read_text())
    for word in ("new", "malloc", "throw", "static(?! constexpr)", "thread_local", "virtual"):
        assert not re.search(rf"\b{word}\b(?!_cast)", code), word


def imported(path: Path) -> set[str]:
    """Modules of latom that a file imports, anywhere in it."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "latom" + (f".{node.module}" if node.module else "") if node.level else node.module or ""
            names = [f"{module}.{alias.name}" if module == "latom" else module for alias in node.names]
        for name in names:
            if name == "latom" or name.startswith("latom."):
                part = name.partition(".")[2].split(".")[0]
                known = (PYTHON / f"{part}.py").exists() or part == "_core"
                modules.add(part if known else "__init__")
    return modules


@pytest.mark.parametrize("path", sorted(PYTHON.glob("*.py")), ids=lambda path: path.name)
def test_imports_point_downward(path: Path) -> None:
    own = LEVELS.get(path.stem, TOP)
    for module in imported(path) - {path.stem}:
        assert LEVELS.get(module, TOP) <= own, f"{path.name} imports {module}"


def loaded(code: str) -> set[str]:
    """Top-level modules in a process that ran `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_takes_numpy_and_scipy_alone() -> None:
    modules = loaded("import latom; latom.assign; latom.kmeans_plusplus; latom.topk; dir(latom)")
    assert {"numpy", "scipy", "latom"} <= modules
    assert not modules & {"sklearn", "torch", "tqdm", "matplotlib", "pandas", "joblib", "cupy", "tensorflow"}


def test_estimators_take_scikit_learn_but_neither_torch_nor_matplotlib() -> None:
    modules = loaded("import latom; latom.SphericalKMeans; latom.TopKEncoder")
    assert "sklearn" in modules
    assert not modules & {"torch", "matplotlib", "cupy", "tensorflow"}
