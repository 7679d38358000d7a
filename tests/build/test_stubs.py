"""The hand-written stubs of latom._core say what the extension has."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latom import _core

STUBS = Path(_core.__file__).parent / "_core"
# Their metaclass is pybind11's own.
ALLOWED = "".join(
    f"latom._core.{name}\n"
    for name in (
        *("AtomIndex", "BlockLloyd", "CenterDistances", "Context", "Dictionary", "DocumentSearch", "Lloyd"),
        *("MiniBatch", "Rows", "Rows.__init__"),
    )
)

# stubtest imports every module that has a stub; the one of kernels is made when it is asked for.
RUN = "from latom import _core; _core.kernels; from mypy.stubtest import main; raise SystemExit(main())"

if not (STUBS / "__init__.pyi").exists():
    pytest.skip(f"no stubs beside the extension, in {STUBS}", allow_module_level=True)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_names_agree_with_the_extension(tmp_path: Path) -> None:
    # mypy reads a copy, so that it does not check the rest of the package.
    shutil.copytree(STUBS, tmp_path / "latom" / "_core")
    (tmp_path / "latom" / "__init__.pyi").touch()
    (tmp_path / "allowed.txt").write_text(ALLOWED)
    done = subprocess.run(
        [sys.executable, "-c", RUN, "latom._core", "--allowlist", "allowed.txt"],
        env={**os.environ, "MYPYPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def stated(path: Path) -> dict[str, set[tuple[str, ...]]]:
    """Parameter names (defaults marked =) of every function in a stub; a set for its overloads."""
    found: dict[str, set[tuple[str, ...]]] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                visit(node.body, node.name + ".")
            if isinstance(node, ast.FunctionDef):
                positional, keyword = node.args.args, node.args.kwonlyargs
                first_default = len(positional) - len(node.args.defaults)
                names = [a.arg + "=" * (k >= first_default) for k, a in enumerate(positional)]
                names += ["*"] * bool(keyword)
                names += [
                    a.arg + "=" * (default is not None)
                    for a, default in zip(keyword, node.args.kw_defaults, strict=True)
                ]
                found.setdefault(prefix + node.name, set()).add(tuple(names))

    visit(ast.parse(path.read_text()).body, "")
    return found


def actual(function: Any) -> set[tuple[str, ...]]:
    """The same from the signatures that pybind11 writes into docstrings, which stubtest cannot see."""
    signatures = set()
    for text in re.findall(rf"^(?:\d+\. )?{function.__name__}\((.*)\) -> ", function.__doc__, re.MULTILINE):
        if text == "*args, **kwargs":
            continue
        flat = re.sub(r"\[[^\[\]]*\]", "", re.sub(r"\[[^\[\]]*\]", "", text))  # types without parameters
        names = [part.split(":")[0].strip() + "=" * ("=" in part) for part in flat.split(", ") if part]
        signatures.add(tuple(names))
    return signatures


@pytest.mark.parametrize(("stub", "module"), [("__init__", _core), ("kernels", _core.kernels)])
def test_parameters_agree_with_the_extension(stub: str, module: Any) -> None:
    functions = stated(STUBS / f"{stub}.pyi")
    assert functions
    for name, signatures in functions.items():
        owner: Any = module
        for part in name.split("."):
            owner = getattr(owner, part)
        if not isinstance(owner, property):
            assert actual(owner) == signatures, name
