"""Each kernel variant exports its table and nothing else.

A weak symbol in an AVX-512 object (an inline function of the standard library, say) could be linked for
the whole program and be run by a processor without AVX-512.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CMAKE = ROOT / "CMakeLists.txt"
COMPILER = next(
    (found for name in (os.environ.get("CXX", "c++"), "g++", "clang++") if (found := shutil.which(name))),
    None,
)
NM = shutil.which("nm")

# What a compiler may call by itself.
OWN_CALLS = {"memcpy", "memmove", "memset", "__popcountdi2", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}

if not CMAKE.exists():
    pytest.skip("the sources are not here", allow_module_level=True)
if COMPILER is None or NM is None:
    pytest.skip("no C++ compiler or no nm", allow_module_level=True)


def options() -> dict[str, list[str]]:
    """Compile options of each variant, read from CMakeLists.txt."""
    text = CMAKE.read_text()
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"set\(LATOM_OPTIONS_(\w+) (.*?)\)", text, re.DOTALL):
        words = value.replace('""', "").split()
        found[name] = [flag for word in words for flag in found.get(word[16:-1], [word])]
    isas = ["baseline"]
    if platform.machine().lower() in ("x86_64", "amd64"):
        added = re.search(r"list\(APPEND LATOM_ISAS (.*?)\)", text)
        assert added is not None
        isas += added[1].split()
    return {isa: found[isa] for isa in isas}


def common_options() -> list[str]:
    """What latom_flags gives every file, but for optimization and warnings."""
    flags = re.search(
        r"target_compile_options\(latom_flags INTERFACE (-O3.*?)\)", CMAKE.read_text(), re.DOTALL
    )
    assert flags is not None
    kept = [flag for flag in flags[1].split() if flag.startswith("-f")]
    assert "-ffp-contract=off" in kept
    return kept


def symbols(isa: str, optimization: str, folder: Path) -> list[tuple[str, str]]:
    """(type, name) of every symbol of a variant's object that the linker sees."""
    assert COMPILER is not None
    assert NM is not None
    target = folder / f"{isa}.o"
    subprocess.run(
        [
            *[
                COMPILER,
                "-std=c++20",
                optimization,
                "-fPIC",
                "-fvisibility=hidden",
                "-fvisibility-inlines-hidden",
            ],
            *[*common_options(), *options()[isa], f"-DLATOM_ISA={isa}", f"-I{ROOT / 'csrc'}"],
            *["-Wno-psabi", "-c", str(ROOT / "csrc" / "kernels" / "variant.cpp"), "-o", str(target)],
        ],
        check=True,
        timeout=120,
    )
    listed = subprocess.run([NM, "-g", str(target)], check=True, capture_output=True, text=True).stdout
    return [(line.split()[-2], line.split()[-1]) for line in listed.splitlines()]


# -O3 is what is shipped; -O1 inlines less, so that a function which is not local would show.
@pytest.mark.parametrize("optimization", ["-O1", pytest.param("-O3", marks=pytest.mark.long)])
@pytest.mark.parametrize("isa", options())
def test_a_variant_exports_its_table_alone(isa: str, optimization: str, tmp_path: Path) -> None:
    found = symbols(isa, optimization, tmp_path)
    exported = [name for kind, name in found if kind != "U"]
    assert len(exported) == 1, exported
    assert f"kernels_{isa}" in exported[0]
    assert not [name for kind, name in found if kind.lower() in "wvu" and kind != "U"], "weak or unique"
    needed = {
        name.lstrip("_") if platform.system() == "Darwin" else name for kind, name in found if kind == "U"
    }
    assert needed <= OWN_CALLS | {name.lstrip("_") for name in OWN_CALLS}, needed - OWN_CALLS


def test_options_are_read_from_cmake() -> None:
    found = options()
    assert found["baseline"] == []
    if "avx512bf16" in found:
        assert found["avx2"] == ["-mavx2", "-mfma"]
        assert set(found["avx2"]) < set(found["avx512"]) < set(found["avx512bf16"])
        assert all(flag.startswith("-m") for flag in found["avx512bf16"])


def test_no_processor_is_named() -> None:
    assert "-march=" not in CMAKE.read_text()
