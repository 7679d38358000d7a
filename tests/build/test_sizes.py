"""Files and functions stay short enough to be read at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC, PYTHON = ROOT / "csrc", ROOT / "python" / "latom"
FILE_LINES, FUNCTION_LINES = 400, 80

if not CSRC.exists():
    pytest.skip("the sources are not here", allow_module_level=True)

CPP = sorted(path for path in CSRC.rglob("*") if path.suffix in (".h", ".cpp", ".cu", ".cuh"))
PY = sorted(PYTHON.rglob("*.py"))
STUBS = sorted(PYTHON.rglob("*.pyi"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CPP + PY + STUBS, ids=name)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of code of each function, without its docstring, comments and blank lines."""
    text = path.read_text()
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            kept = set(range(node.lineno, node.end_lineno + 1))
            first = node.body[0]
            if ast.get_docstring(node) is not None and first.end_lineno is not None:
                kept -= set(range(first.lineno, first.end_lineno + 1))
            yield node.name, sum(not re.match(r"\s*(#|$)", lines[k - 1]) for k in kept)


# Comments, strings, characters, preprocessor lines.
NO_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
    re.DOTALL | re.MULTILINE,
)


def cpp_functions(text: str) -> Iterator[tuple[str, int]]:
    """Head and lines of each function: a block with parameters that stands in no other function.

    Enough of a parser for formatted sources without raw strings. Lambdas count with the function around.
    """
    text = NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    blocks: list[tuple[str, int, bool]] = []  # head, its first line, whether it is of a function
    head = 0
    for found in re.finditer(r"[{};]", text):
        at, inside = found.start(), any(block[2] for block in blocks)
        if found[0] == "{":
            words = text[head:at].strip()
            line = text.count("\n", 0, at - len(text[head:at].lstrip()))
            scope = re.search(r"\b(namespace|class|struct|enum|union|extern)\b[^()=]*$", words)
            blocks.append((words, line, not inside and "(" in words and scope is None))
        elif found[0] == "}":
            words, line, function = blocks.pop()
            if function:
                yield " ".join(words.split()), text.count("\n", 0, at) - line + 1
        head = found.end()
    assert not blocks, "braces that do not match"


@pytest.mark.parametrize("path", PY, ids=name)
def test_python_functions_are_short(path: Path) -> None:
    assert not [found for found in python_functions(path) if found[1] > FUNCTION_LINES]


@pytest.mark.parametrize("path", CPP, ids=name)
def test_cpp_functions_are_short(path: Path) -> None:
    assert not [found for found in cpp_functions(path.read_text()) if found[1] > FUNCTION_LINES]


def test_functions_are_counted() -> None:
    source = """
namespace latom {
struct Pair {
    int a = 0;
    Pair(int a) : a{a} { use("{", '}'); }
};
template <class T>
int sum(const T& values) {
    // a } in a comment
    auto each = [&](int v) {
        return v;
    };
    return each(1);
}
}  // namespace latom
"""
    assert [lines for _, lines in cpp_functions(source)] == [1, 8]
    counted = {head: n for path in CPP for head, n in cpp_functions(path.read_text())}
    assert len(counted) > 400
    assert max(n for path in PY for _, n in python_functions(path)) > 30
