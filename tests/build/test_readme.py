"""The README names what there is, and the gallery of examples has every script."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

import latom

ROOT = Path(__file__).parents[2]
README, GALLERY = ROOT / "README.md", ROOT / "examples" / "README.md"

if not README.exists() or not GALLERY.exists():
    pytest.skip("the README is not here", allow_module_level=True)

API = README.read_text().split("## API", 1)[1].split("## In other libraries", 1)[0]
CELLS = [line.split("|")[1] for line in API.splitlines() if line.startswith("| `")]
NAMES = sorted({re.match(r"[\w.]+", part)[0] for cell in CELLS for part in re.findall(r"`([^`]+)`", cell)})  # type: ignore[index]


def resolve(name: str) -> Any:
    """What a name of the tables stands for: of latom, of a package of it, or a package itself."""
    whole = name.removeprefix("latom.")
    for package in ("", "neighbors", "factorize"):
        found: Any = importlib.import_module(f"latom.{package}" if package else "latom")
        try:
            for part in whole.split("."):
                found = getattr(found, part, None) or importlib.import_module(f"{found.__name__}.{part}")
        except (AttributeError, ImportError):
            continue
        return found
    return None


def test_the_tables_name_what_there_is() -> None:
    assert len(NAMES) > 60
    optional = {"latom.dask", "latom.torch"}  # their libraries may be missing
    assert not [name for name in NAMES if name not in optional and resolve(name) is None]


def test_every_public_name_is_in_a_table() -> None:
    told = {name.rpartition(".")[2] for name in NAMES} | set(re.findall(r"`(\w+)", API))
    left = {"Factorizations", "RankSelection", "BatchClusters", "ClusterSweep", "WardClusters"}  # results
    left |= {name for name in latom.__all__ if name.endswith("State")}
    left |= {"config", "show_config", "__version__"}
    assert not set(latom.__all__) - told - left


def test_the_gallery_has_every_example() -> None:
    listed = set(re.findall(r"^\| `(\w+\.py)`", GALLERY.read_text(), re.MULTILINE))
    assert listed == {path.name for path in GALLERY.parent.glob("*.py")}
