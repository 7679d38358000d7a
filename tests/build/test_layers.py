"""Includes and imports point downward only. Folders are the levels, in C++ and in Python."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC = ROOT / "csrc"
PYTHON = ROOT / "python" / "latom"

SOURCES = sorted(path for path in CSRC.rglob("*") if path.suffix in (".h", ".cpp", ".cu", ".cuh"))
# Of csrc/, from below; those beside each other do not see each other.
FOLDERS = [
    {"core"},
    {"kernels"},
    {"rows"},
    {"engines", "cuda"},
    {"algorithms"},
    {"bindings", "bindings_cuda"},
]
# Of python/latom/, from below: what families share, families, hosts, the package itself, the command line.
PACKAGES = [
    {"_base"},
    {"seed", "neighbors"},
    {"cluster"},
    {"factorize", "encode"},
    {"torch", "dask", "compat", "metrics"},
    {"__init__"},
    {"cli"},
    {"__main__"},
]
# Families meet in engines/ or _base/, but clustering may start from seeding and from neighbors.
BELOW_CLUSTER = PACKAGES[1]
FAMILIES = PACKAGES[1] | PACKAGES[2] | PACKAGES[3]

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

if not CSRC.exists():
    pytest.skip("the sources are not here", allow_module_level=True)


def includes(path: Path) -> list[tuple[str, str]]:
    """(bracket, name) of each include."""
    return re.findall(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def level(order: list[set[str]], folder: str) -> int:
    """Place of a folder in an order; every folder has one."""
    found = [place for place, folders in enumerate(order) if folder in folders]
    assert found, f"{folder} has no level: name it in this test"
    return found[0]


def sees(order: list[set[str]], own: str, other: str) -> bool:
    """Whether a folder may look into another."""
    return own == other or level(order, other) < level(order, own)


def contract(path: str) -> bool:
    """Whether a path below csrc/ is of the contract, which all may see."""
    return path.split("/")[0] in ("include", "latom")


def family(path: str) -> str | None:
    """Family of a path below csrc/, where it has one."""
    parts = path.split("/")
    return parts[1] if parts[0] == "algorithms" and len(parts) > 2 else None


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
    own = str(path.relative_to(CSRC))
    folder = own.split("/")[0]
    for bracket, name in includes(path):
        if bracket == "<":
            if folder not in ("bindings", "bindings_cuda"):
                assert not re.match(r"(pybind11/|Python\.h|numpy/)", name), f"{name} belongs to bindings/"
            continue
        if (CSRC / "include" / name).exists():
            continue
        assert (CSRC / name).exists(), f"{name} is neither in csrc/ nor in csrc/include/"
        assert not contract(own), f"the contract includes {name}"
        assert sees(FOLDERS, folder, name.split("/")[0]), f"{name} stands above"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CSRC)))
def test_families_do_not_include_each_other(path: Path) -> None:
    own = family(str(path.relative_to(CSRC)))
    if own is None:
        return
    for name in {family(name) for bracket, name in includes(path) if bracket == '"'} - {None, own}:
        assert own == "cluster", f"{own} includes {name}"
        assert name in BELOW_CLUSTER, f"{own} includes {name}"


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


def test_the_interpreter_is_left_and_entered_in_one_place() -> None:
    """released.h knows what the end of the interpreter does to threads, and sets the floating-point mode."""
    for path in sorted((CSRC / "bindings").glob("*")):
        if path.name == "released.h":
            continue
        code = re.sub(r"//.*", "", path.read_text())
        assert not re.search(r"gil_scoped|PyGILState|PyEval_|<mutex>|call_once", code), path.name


MODULES = sorted(path for path in PYTHON.rglob("*.py"))


def module(path: Path) -> str:
    """Dotted name of a file below latom, "cluster.kmeans"; of a package, "cluster.__init__"."""
    return ".".join(path.relative_to(PYTHON).with_suffix("").parts)


def package(name: str) -> str:
    """Where a module stands: its folder, or itself beside latom/__init__.py."""
    return name.split(".")[0]


def known(parts: list[str]) -> str:
    """The module that a dotted name below latom is in, which may go on with what the module holds."""
    for end in range(len(parts), 0, -1):
        if (PYTHON.joinpath(*parts[:end]).with_suffix(".py")).exists():
            return ".".join(parts[:end])
        if (PYTHON.joinpath(*parts[:end]) / "__init__.py").exists():
            return ".".join([*parts[:end], "__init__"])
    return parts[0] if parts and parts[0] in ("_core", "_cuda") else "__init__"


def imported(path: Path) -> set[str]:
    """Modules of latom that a file imports, anywhere in it."""
    names: list[list[str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names += [[*(node.module or "").split("."), alias.name] for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # imported when touched
            dotted = node.value.split(".") if re.fullmatch(r"latom(\.\w+)+", node.value) else []
            names += [dotted] if dotted and known(dotted[1:]) != "__init__" else []
    return {known(name[1:]) for name in names if name[0] == "latom"} - {module(path)}


@pytest.mark.parametrize("path", MODULES, ids=module)
def test_imports_point_downward(path: Path) -> None:
    own = package(module(path))
    for name in imported(path):
        if name in ("_core", "_cuda"):
            assert module(path) == "_base.backend", "only _base/backend.py imports the extension"
        else:
            assert sees(PACKAGES, own, package(name)), f"{module(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=module)
def test_a_family_asks_modules_for_what_they_define(path: Path) -> None:
    """Inside the house a name comes from the file that holds it; a family's own list is for users."""
    if package(module(path)) in FAMILIES | {"_base"}:
        assert not [name for name in imported(path) if name.endswith("__init__")]


def test_no_module_imports_itself_through_others() -> None:
    graph = {module(path): imported(path) for path in MODULES if path.name != "__init__.py"}
    graphlib.TopologicalSorter(graph).prepare()  # raises where there is a circle


def test_no_two_classes_bear_one_name() -> None:
    where: dict[str, list[str]] = {}
    for path in MODULES:
        if package(module(path)) in ("compat", "dask"):  # names of hosts, and those of one machine
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name.lstrip("_"), []).append(module(path))
    assert not {name: files for name, files in where.items() if len(files) > 1}


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
    others = {
        "sklearn",
        "threadpoolctl",
        "torch",
        "tqdm",
        "matplotlib",
        "pandas",
        "joblib",
        "cupy",
        "tensorflow",
    }
    assert not modules & others


def test_estimators_take_scikit_learn_but_neither_torch_nor_matplotlib() -> None:
    modules = loaded("import latom; latom.SphericalKMeans; latom.TopKEncoder")
    assert "sklearn" in modules
    assert not modules & {"torch", "matplotlib", "cupy", "tensorflow"}


def test_families_are_imported_like_the_package() -> None:
    names = "cluster.assign seed.coreset seed.kmeans_plusplus encode.topk encode.decode factorize.nmf_batch"
    lines = [f"from latom.{family} import {name}" for family, name in (n.split(".") for n in names.split())]
    assert "sklearn" not in loaded("\n".join([*lines, "assert all(map(callable, (assign, coreset, topk)))"]))
    for family, name in (("cluster", "KMeans"), ("encode", "TopKEncoder"), ("factorize", "NMF")):
        assert "sklearn" in loaded(
            f"import latom\nfrom latom.{family} import {name}\nassert latom.{name} is {name}"
        )


@pytest.mark.parametrize(
    "first", ["latom", "latom.encode", "latom.encode.codes", "latom.encode.topk_encoder"]
)
def test_encode_is_the_function_and_the_package(first: str) -> None:
    loaded(
        f"import {first}\nimport latom.encode.topk_encoder\n"
        "from latom import encode\nfrom latom.encode.codes import encode as own\n"
        "assert latom.encode is encode is own, latom.encode"
    )


FIRST = """
import importlib, sys
import latom
families = ["latom", *(f"latom.{name}" for name in ("cluster", "factorize", "metrics", "neighbors", "seed"))]
families.append("latom.encode")
public = {}  # by the module that defines them: families and names
for family in families:
    own = sys.modules[family] if family in sys.modules else importlib.import_module(family)
    for name in own.__all__:
        made = getattr(getattr(own, name), "__module__", None)
        if made is not None:
            public.setdefault(made, []).append((family, name))
assert len(public) > 50, len(public)
for module, names in public.items():
    for name in [name for name in sys.modules if name.split(".")[0] == "latom" and "_core" not in name]:
        del sys.modules[name]
    first = importlib.import_module(module)
    for family, name in names:
        found = getattr(importlib.import_module(family), name)
        assert found is vars(first)[name], (module, family, name, found)
"""


def test_a_public_name_is_itself_whatever_was_imported_first() -> None:
    """A module that bears the name of what it defines would stand in its place once it is imported."""
    loaded(FIRST)


def test_families_are_attributes_of_the_package() -> None:
    light = "latom.metrics.recall, latom.seed.afkmc2, latom.neighbors.SparseIndex, latom.factorize.nmf_batch"
    assert not loaded(f"import latom; dir(latom); {light}") & {"sklearn", "torch", "dask"}
    loaded("import latom; latom.cluster.KMeans; latom.compat.sklearn.KMeans; assert not hasattr(latom, 'no')")


MISSING = """
import importlib.abc, sys
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
import latom
assert not hasattr(latom, "torch")
try:
    latom.torch
except AttributeError as error:
    assert str(error) == "latom.torch: torch must be installed; got no such module. pip install torch."
    assert isinstance(error.__cause__, ModuleNotFoundError)
for line in ("from latom import torch", "import latom.torch", "import latom.torch as lt"):
    try:
        exec(line)
    except ModuleNotFoundError as error:
        assert error.name == "torch", error.name
    else:
        raise AssertionError(line)
"""


def test_a_module_without_what_it_needs_is_no_attribute() -> None:
    loaded(MISSING)
