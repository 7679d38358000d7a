"""The documentation site: `pip install ".[docs]" && sphinx-build -W docs build/docs`."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

project = "latom"
author = copyright = "latom developers"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
]
html_theme = "furo"
html_title = "latom"
exclude_patterns = ["_build"]
myst_heading_anchors = 4
autosummary_generate = True
templates_path = ["_templates"]
autodoc_mock_imports = [name for name in ("dask", "distributed", "torch") if find_spec(name) is None]
autodoc_typehints = "none"  # numpydoc's sections say what types mean
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
suppress_warnings = [
    "myst.xref_missing",  # Markdown of the repository links to sources, which are not pages
    "autosummary.import_cycle",
    "ref.python",  # a class that has two names, here and in the family's package
]


def gallery() -> None:
    """A page for each example: what its docstring says, and the script."""
    folder = DOCS / "gallery"
    folder.mkdir(exist_ok=True)
    pages = []
    for path in sorted((ROOT / "examples").glob("*.py")):
        tree = ast.parse(path.read_text())
        text, code = ast.get_docstring(tree) or "", tree.body[1].lineno
        title, _, rest = text.partition("\n")
        rest = re.sub(r"(?m)^(?: {4}|\t).*(?:\n(?: {4}|\t).*)*", lambda m: f"\n```text\n{m[0]}\n```\n", rest)
        script = f"```{{literalinclude}} ../../examples/{path.name}\n:lines: {code}-\n```\n"
        (folder / f"{path.stem}.md").write_text(f"# {title.strip().rstrip('.')}\n{rest}\n{script}")
        pages.append(path.stem)
    listed = "\n".join(pages)
    (folder / "index.md").write_text(
        "```{include} ../../examples/README.md\n```\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n:caption: Scripts\n:hidden:\n\n{listed}\n```\n"
    )


def skip(app: Any, what: str, name: str, member: Any, skipped: bool, options: Any) -> bool:
    """Leaves out what classes have from scikit-learn and torch, and fields of states."""
    home = getattr(getattr(member, "fget", member), "__module__", None) or "latom"
    return skipped or not home.startswith("latom")


def escape(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text in numpydoc sections: names that end in _ are no links, bars mean nothing."""
    for at, line in enumerate(lines):
        if re.match(r"\s*(\.\. |>>>|\.\.\. )", line):
            continue
        parts = re.split(r"(``.*?``|:\w+:`.*?`)", line)
        parts[::2] = [re.sub(r"(?<=\w)_(?!\w)", r"\\_", part).replace("|", r"\|") for part in parts[::2]]
        lines[at] = "".join(parts)


def setup(app: Any) -> None:
    gallery()
    app.connect("autodoc-process-docstring", escape, priority=600)  # after napoleon
    app.connect("autodoc-skip-member", skip)
