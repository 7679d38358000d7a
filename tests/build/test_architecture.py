"""docs/architecture.md speaks of the tree as it is, and its lists of places hold for what is there."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC, PYTHON, TESTS = ROOT / "csrc", ROOT / "python" / "latom", ROOT / "tests"
PAGE = ROOT / "docs" / "architecture.md"
# The algorithm of the walk-through, whose files are to be made by whoever follows it.
TOY = "farthest_first"

if not PAGE.exists() or not CSRC.exists():
    pytest.skip("the sources are not here", allow_module_level=True)

TEXT = PAGE.read_text()
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
BLOCKS, PROSE = "\n".join(BLOCK.findall(TEXT)), BLOCK.sub("", TEXT)
# A path has a slash, or a suffix that only files have; a part in <> stands for any name.
NAMED = sorted(
    name
    for name in set(re.findall(r"`([^`\s]+)`", PROSE))
    if re.fullmatch(r"[\w.<>/-]+", name) and re.search(r"/|\.(cpp|h|pyi?|md|txt)$", name)
)
LINKED = sorted(set(re.findall(r"\]\(([^)#]+)[^)]*\)", PROSE)))
FAMILIES = sorted(path.name for path in (CSRC / "algorithms").iterdir())
# No kernels: what several of them are written with.
VECTORS = {"lanes.inl.h", "line.inl.h"}
KERNELS = sorted(path.name for path in (CSRC / "kernels").glob("*.inl.h") if path.name not in VECTORS)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def folders(top: Path) -> list[Path]:
    """Those below `top` that hold files of the project."""
    return sorted({path.parent for path in top.rglob("*") if re.fullmatch(r"\.(h|cpp|cu|pyi?)", path.suffix)})


def test_the_page_names_paths() -> None:
    assert len(NAMED) > 50
    assert LINKED


@pytest.mark.parametrize("name", NAMED)
def test_paths_of_the_page_exist(name: str) -> None:
    found = sorted(ROOT.glob(re.sub(r"<\w+>", "*", name).rstrip("/")))
    if TOY in name:
        assert not found, f"{name} is there: the walk-through says that it is not"
        assert (ROOT / name).parent.is_dir()
    else:
        assert found, f"docs/architecture.md names {name}, which does not exist"
        assert not name.endswith("/") or all(path.is_dir() for path in found), f"{name} is no folder"


@pytest.mark.parametrize("name", LINKED)
def test_links_of_the_page_lead_somewhere(name: str) -> None:
    assert (PAGE.parent / name).exists()


@pytest.mark.parametrize("path", folders(CSRC) + folders(PYTHON), ids=relative)
def test_every_folder_is_named(path: Path) -> None:
    if path != PYTHON:
        assert f"| `{relative(path)}/` |" in PROSE, f"docs/architecture.md does not list {relative(path)}/"


@pytest.mark.parametrize("path", sorted((CSRC / "include").rglob("*.h")), ids=relative)
def test_every_contract_is_named(path: Path) -> None:
    assert f"`{relative(path)}`" in PROSE


def test_code_of_the_walk_through_asks_for_what_exists() -> None:
    headers = re.findall(r'#include "([^"]+)"', BLOCKS)
    modules = re.findall(r"^from (latom\.[\w.]+) import ([\w, ]+)$", BLOCKS, re.MULTILINE)
    assert headers
    assert modules
    for name in headers:
        assert (CSRC / name).exists() or (CSRC / "include" / name).exists(), name
    for module, names in modules:
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        assert spec.origin is not None
        defined = {getattr(node, "name", "") for node in ast.parse(Path(spec.origin).read_text()).body}
        defined |= set(re.findall(r"^(\w+)\b.* = ", Path(spec.origin).read_text(), re.MULTILINE))
        assert set(names.split(", ")) <= defined, module


def test_the_toy_of_the_walk_through_is_not_in_the_project() -> None:
    files = [path for top in (CSRC, PYTHON) for path in top.rglob("*") if path.is_file()]
    sources = [path for path in files if re.fullmatch(r"\.(h|cpp|pyi?)", path.suffix)]
    assert not [path for path in sources if TOY in path.read_text()]


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_stands_in_its_places(name: str) -> None:
    assert name in (CSRC / "kernels" / "table.h").read_text(), "a kernel has its signature in the table"
    assert f'#include "kernels/{name}"' in (CSRC / "kernels" / "variant.cpp").read_text()


@pytest.mark.parametrize("path", sorted((TESTS / "kernels").glob("test_*.py")), ids=lambda path: path.name)
def test_tests_of_kernels_bear_the_names_of_kernels(path: Path) -> None:
    stem = path.stem.removeprefix("test_")
    places = (CSRC / "kernels" / f"{stem}.inl.h", CSRC / "kernels" / f"{stem}.h", CSRC / "core" / f"{stem}.h")
    assert any(place.exists() for place in places)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_stands_in_its_places(family: str) -> None:
    for place in (
        CSRC / "include" / "latom" / f"{family}.h",
        CSRC / "bindings" / f"bind_{family}.cpp",
        PYTHON / family / "__init__.py",
        TESTS / family,
    ):
        assert place.exists(), relative(place)
    assert f"register_{family}(module);" in (CSRC / "bindings" / "module.cpp").read_text()


@pytest.mark.parametrize("path", sorted(CSRC.rglob("*.cpp")), ids=relative)
def test_every_source_is_in_the_list_of_cmake(path: Path) -> None:
    assert relative(path) in (ROOT / "CMakeLists.txt").read_text()
