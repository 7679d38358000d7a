"""Random files, options and surroundings of ``python -m latom cluster``: a table, or one line of error."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from fuzzing import Finding, check, pick
from mutations import NASTY_BYTES, as_json, changed_array, changed_json, damaged

from latom.cli import documents
from latom.cli.main import main

TERMS = [
    "violin",
    "cello",
    "sonata",
    "striker",
    "penalty",
    "league",
    "enzyme",
    "protein",
    "genome",
    "naïve",
    "日本",
]
LINE = re.compile(r"latom( cluster)?: .+ must .+; got .*\. \S.*\n")
OTHER = re.compile("latom( cluster)?: (unrecognized arguments|expected |.+ expected one argument).*\\n")


def case(rng: np.random.Generator) -> str:
    folder = Path(tempfile.mkdtemp(prefix="latom-fuzz-"))
    try:
        return _case(rng, folder)
    finally:
        shutil.rmtree(folder)


def _case(rng: np.random.Generator, folder: Path) -> str:
    path, options = _input(rng, folder)
    argv = ["cluster", str(path), *options, *_options(rng, folder)]
    if rng.random() < 0.1:
        argv = [a for a in argv if rng.random() > 0.2] + [
            pick(rng, ["--", "-k", "\0", "", "--seed", "--column"])
        ]
    columns = str(pick(rng, ["", "1", "7", "80", "2000", "-1", "x"]))
    before, wait = os.environ.get("COLUMNS"), documents._open_pipe.__defaults__
    out, err = _streams(rng)
    os.environ["COLUMNS"], documents._open_pipe.__defaults__ = columns, (0.02,)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(argv)
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {str(error)[:300]} from {argv}") from error
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
        documents._open_pipe.__defaults__ = wait
    check(code in (0, 2), f"status {code} from {argv}")
    _check_text(code, out, err, argv)
    if code == 0:
        _check_labels(folder)
    return f"{path.suffix or path.name}: {'a table' if code == 0 else 'refused'}"


def _check_text(code: int, out: Any, err: Any, argv: list[str]) -> None:
    told = "" if err is None or err.closed else err.getvalue()
    kept = "".join(line for line in told.splitlines(keepends=True) if ": warning: " not in line)
    if code == 2 and err is not None and not err.closed:
        fine = LINE.fullmatch(kept) or OTHER.fullmatch(kept) or "usage:" in kept
        check(fine, f"status 2 and {kept[:300]!r} from {argv}")
        check(len(kept) < 2500, f"a message of {len(kept)} characters: {kept[:200]}")
    if code == 0:
        check(not kept, f"status 0 and {kept[:300]!r} from {argv}")
        check(
            "-q" in argv or "cluster" in out.getvalue() or "usage" in out.getvalue(), f"no table from {argv}"
        )


def _check_labels(folder: Path) -> None:
    for file in folder.glob("labels.*"):
        if file.suffix == ".npy":
            check(np.load(file).dtype == np.int32, "labels.npy")
        elif file.suffix == ".txt":
            check(all(int(line) >= -1 for line in file.read_text().splitlines()), "labels.txt")


def _streams(rng: np.random.Generator) -> tuple[io.StringIO, Any]:
    err: Any = io.StringIO()
    if rng.random() < 0.1:
        err.close()
    return io.StringIO(), None if rng.random() < 0.1 else err


# ---- what is read


def _text(rng: np.random.Generator) -> str:
    words = [pick(rng, TERMS) for _ in range(int(rng.integers(0, 7)))]
    if rng.random() < 0.1:
        words.append(
            pick(rng, ["\0", "\x1b[2J", "\ud800", "\u2028", "'", '"', "12", "the", "$x^2$", "\\", "%s {0}"])
        )
    return " ".join(words)


def _input(rng: np.random.Generator, folder: Path) -> tuple[Path, list[str]]:
    texts = [_text(rng) for _ in range(int(rng.integers(0, 30)))]
    kind = pick(rng, ["lines.txt", "t.csv", "t.tsv", "t.jsonl", "x.npz", "x.npz", "folder", "odd"])
    path = folder / kind
    damage = rng.random() < 0.3
    options: list[str] = []
    if kind == "x.npz":
        options = _matrix(rng, path)
    elif kind == "folder":
        path.mkdir()
        for i, text in enumerate(texts):
            (path / f"{i}{pick(rng, ['', '.txt', '.png'])}").write_bytes(_bytes(rng, text, damage))
    elif kind == "odd":
        _odd(rng, path)
    else:
        records = [{"id": i, "text": text, "title": _text(rng)} for i, text in enumerate(texts)]
        if kind == "t.jsonl":
            if damage:
                records = [changed_json(rng, record) for record in records]
            lines = [json.dumps(record) for record in records]
        elif kind == "lines.txt":
            lines = texts
        else:
            separator = "," if kind == "t.csv" else "\t"
            lines = [separator.join(["id", "text", "title"])]
            lines += [separator.join(f'"{value}"' for value in record.values()) for record in records]
        path.write_bytes(_bytes(rng, "\n".join(lines), damage))
        if rng.random() < 0.2:
            options = ["--column", pick(rng, ["text", "title", "id", "none", "", "\0"])]
    return path, options


def _bytes(rng: np.random.Generator, text: str, damage: bool) -> bytes:
    data = text.encode(pick(rng, ["utf-8"] * 8 + ["utf-8-sig", "utf-16", "latin-1"]), "replace")
    return damaged(rng, data) if damage and rng.random() < 0.7 else data


def _odd(rng: np.random.Generator, path: Path) -> None:
    change = int(rng.integers(4))
    if change == 0:
        os.mkfifo(path)
    elif change == 1:
        path.symlink_to(path)
    elif change == 2:
        path.write_bytes(pick(rng, NASTY_BYTES))


def _matrix(rng: np.random.Generator, path: Path) -> list[str]:
    shape = (int(rng.integers(1, 20)), int(rng.integers(1, 12)))
    X = sp.random(
        *shape, density=0.4, random_state=rng, format=pick(rng, ["csr", "csc", "coo", "bsr", "dia"])
    )
    sp.save_npz(path, X)
    damage = rng.random()
    if damage < 0.3:  # arrays that do not fit together, and claims
        arrays = dict(np.load(path))
        name = pick(rng, arrays)
        if name == "shape":
            arrays[name] = np.array([int(pick(rng, [0, 1, 7, -1, 2**28, 2**31, 2**40, 2**62])), shape[1]])
            arrays[name] = arrays[name][:: pick(rng, [1, -1])]
        elif name != "format":
            arrays[name] = changed_array(rng, arrays[name])
        else:
            arrays[name] = np.array(pick(rng, [b"csr", b"csc", b"coo", b"lil", b"", "csr"]))
        np.savez(path, **arrays)
    elif damage < 0.5:
        path.write_bytes(damaged(rng, path.read_bytes()))
    if rng.random() > 0.4:
        return []
    vocabulary = path.with_name(pick(rng, ["v.txt", "v.json"]))
    terms: Any = [pick(rng, TERMS) + str(j) for j in range(shape[1])]
    if vocabulary.suffix == ".txt":
        vocabulary.write_bytes(_bytes(rng, "\n".join(terms), rng.random() < 0.3))
    else:
        terms = terms if rng.random() < 0.5 else {term: j for j, term in enumerate(terms)}
        vocabulary.write_bytes(as_json(changed_json(rng, terms) if rng.random() < 0.5 else terms))
    return ["--vocabulary", str(vocabulary)]


# ---- what is asked for


def _options(rng: np.random.Generator, folder: Path) -> list[str]:
    numbers = ["0", "1", "2", "3", "-1", "1e3", "9" * 30, "", "٣", "1_0", "nan", "4097", "2147483648"]
    small = ["1", "2", "3", "5"]
    options = ["-k", pick(rng, small if rng.random() < 0.95 else numbers)]
    for name, values in (
        ("--seed", numbers),
        ("--n-init", small),
        ("--max-iter", ["1", "2", "100"]),
        ("--threads", numbers),
        ("--top-terms", numbers),
        ("--min-df", numbers),
        ("--max-features", numbers),
        (
            "--encoding",
            ["utf-8", "utf-16", "latin-1", "utf-7", "idna", "hex", "undefined", "ascii", "cp037", "\0", ""],
        ),
        (
            "--labels",
            ["labels.txt", "labels.csv", "labels.npy", "labels", "", "no/labels.txt", "\0.txt", ".txt"],
        ),
        ("-q", [None]),
        ("--stream", [None]),
    ):
        if rng.random() < 0.06:
            value = pick(rng, values)
            if name == "--labels" and value:
                value = str(folder / value)
            options += [name] if value is None else [name, value]
    if rng.random() < 0.02:
        options += ["--plot", str(folder / pick(rng, ["x.png", "x.svg", "x.pgf", "x.docx", "x"]))]
    return options
