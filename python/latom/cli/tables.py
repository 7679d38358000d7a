"""Tables of documents: JSON lines, CSV and TSV, and the choice of the column with the texts."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latom.cli.documents import Documents, InputError, Make, Track, lines, one_line

JSON_SUFFIXES = (".jsonl", ".ndjson")
SUFFIXES = (*JSON_SUFFIXES, ".csv", ".tsv")

_TEXT_COLUMNS = ("text", "abstract", "body", "content", "title")
_NAME_COLUMNS = ("title", "name", "id")
_SAMPLE = 200  # records looked at before a column is chosen


def read_table(
    path: Path, column: str | None, encoding: str, track: Track, make: Make = Documents
) -> Documents:
    """Read one column of a table with a document a record.

    Parameters
    ----------
    path : Path
        ``.jsonl`` or ``.ndjson`` (a JSON object a line), ``.csv`` or ``.tsv`` (with a header).
    column : str or None
        The column with the texts; None guesses, and ``source`` names the guess.
    encoding : str
        Of the file.
    track : callable
        See `latom.cli.documents.Track`.
    make : callable
        See `latom.cli.documents.Make`.

    Raises
    ------
    InputError
        A broken record, no such column, no column of texts, or a value that is no string.
    """
    is_json = path.suffix.lower() in JSON_SUFFIXES
    records = (_json_records if is_json else _csv_records)(path, encoding)
    sample = list(itertools.islice(records, _SAMPLE))
    if not sample:
        raise InputError(path, "hold at least one record", "an empty table", "Pass a table with records.")
    columns = list(dict.fromkeys(key for _, record in sample for key in record))
    column, note = _choose_column(path, column, columns, [record for _, record in sample])
    names = {key.lower(): key for key in reversed(columns) if key != column}
    title = next((names[key] for key in _NAME_COLUMNS if key in names), None)

    documents = make(f"{path}, column {column!r}{note}", titled=title is not None)
    found = False
    for where, record in track(itertools.chain(sample, records), desc="reading", unit=" records"):
        text = record.get(column)
        found = found or column in record
        if not isinstance(text, str | None):
            raise InputError(
                f"{path}, {where}, column {column!r}",
                "be a string",
                type(text).__name__,
                "Choose another --column or convert it.",
            )
        name = record.get(title) if title is not None else None
        documents.add(where if name in (None, "") else str(name), (text or "").strip())
    if not found:  # asked for by name, and in no record at all
        raise _no_column(path, column, columns)
    return documents


def _no_column(path: Path, column: str, columns: list[str]) -> InputError:
    listed = ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "")
    remedy = "Pass one of these to --column."
    return InputError(path, f"have a column {column!r}", f"columns {listed}", remedy)


def _choose_column(
    path: Path, column: str | None, columns: list[str], sample: list[dict[str, Any]]
) -> tuple[str, str]:
    """Return the column with the texts, and a note where it was guessed among several."""
    if column is not None:
        # A JSON record may lack a field that later ones have; the caller checks at the end.
        if column not in columns and path.suffix.lower() not in JSON_SUFFIXES:
            raise _no_column(path, column, columns)
        return column, ""
    lengths = {}
    for key in columns:
        values = [v for record in sample if isinstance(v := record.get(key), str)]
        words = [v for v in values if not _is_number(v)]
        if words:
            lengths[key] = sum(map(len, words))
    if not lengths:
        listed = ", ".join(columns[:12])
        remedy = "Pass a table with a document a record."
        raise InputError(path, "have a column of texts", f"columns {listed}", remedy)
    if len(lengths) == 1:
        return next(iter(lengths)), ""
    lower = {key.lower(): key for key in reversed(lengths)}
    named = (lower[name] for name in _TEXT_COLUMNS if name in lower)
    choice = next(named, None) or max(lengths, key=lambda key: lengths[key])
    return choice, " (guessed; --column picks another)"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return not value.strip()
    return True


def _json_records(path: Path, encoding: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in lines(path, encoding):
        if not line.strip():
            continue
        must, remedy = "hold a JSON object a line", f"Correct line {number}."
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            got = f"{error.msg} at character {error.pos + 1} of line {number}"
            raise InputError(path, must, got, remedy) from None
        except (ValueError, RecursionError) as error:
            raise InputError(path, must, f"{one_line(error)} in line {number}", remedy) from None
        if not isinstance(record, dict):
            raise InputError(path, must, f"{type(record).__name__} in line {number}", remedy)
        yield f"line {number}", record


def _csv_records(path: Path, encoding: str) -> Iterator[tuple[str, dict[str, Any]]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    source = (line for _, line in lines(path, encoding, newline=""))
    limit = csv.field_size_limit(2**31 - 1)  # the default refuses texts above 128 KiB
    try:
        header, rows = None, csv.reader(source, delimiter=delimiter)
        for number, row in enumerate(rows):
            if header is None:
                header = row
            elif row:
                yield f"row {number}", dict(zip(header, row, strict=False))
    except csv.Error as error:
        got = f"{one_line(error)} in line {rows.line_num}"
        raise InputError(path, "be a valid table", got, "Correct that line.") from None
    finally:
        csv.field_size_limit(limit)
