"""The pages of the documentation: their code runs, links lead to files, and all that is public is named."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import latom

ROOT = Path(__file__).parents[2]
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
PAGES = [
    *GUIDE, *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md"),
    *ROOT.glob("*.md"), *(ROOT / folder / "README.md" for folder in ("benchmarks", "examples")),
]  # fmt: skip
CODE = (
    [page for page in (*GUIDE, ROOT / "docs" / "index.md") if "```python" in page.read_text()]
    if GUIDE
    else []
)

if not GUIDE:
    pytest.skip("the documentation is not here", allow_module_level=True)


def listed(page: Path) -> dict[str, list[str]]:
    """Names of the tables of reference, by module."""
    out: dict[str, list[str]] = {}
    module = ""
    for line in page.read_text().partition("## Reference")[2].splitlines():
        if found := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = found[1]
        elif found := re.match(r"   (\w+)$", line):
            out.setdefault(module, []).append(found[1])
    return out


@pytest.mark.parametrize("page", CODE, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    code = "\n".join(blocks)
    if "torch" in code:
        pytest.importorskip("torch")
    exec(compile(code, str(page), "exec"), {"__name__": "page"})


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.stem)
def test_the_names_of_a_page_exist(page: Path) -> None:
    for module, names in listed(page).items():
        for library in ("torch", "dask"):
            if library in module:
                pytest.importorskip(library)
        assert not set(names) - set(dir(importlib.import_module(module))), page


def test_every_public_name_has_a_page() -> None:
    told = {
        name
        for page in GUIDE
        for name in listed(page).get("latom", []) + listed(page).get("latom.neighbors", [])
    }
    assert not set(latom.__all__) - told - {"__version__"}
    for module in ("latom.metrics", "latom.neighbors"):
        shown = {name for page in GUIDE for name in listed(page).get(module, [])}
        assert not set(importlib.import_module(module).__all__) - shown


def test_links_lead_to_files() -> None:
    lost = []
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link and not (page.parent / link).exists():
                lost.append(f"{page.name}: {link}")
    assert not lost
