"""What ``python -m latom`` takes: its commands, their arguments, and errors that are one line each."""

from __future__ import annotations

import argparse
import codecs
import os
import sys
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from latom.cli import outputs, search

_PROGRAM = "python -m latom"

_COMMANDS = """\
Cluster documents, find the nearest to words, find those that repeat others, or check a GPU.
python -m latom COMMAND --help says what each command takes.
"""

_DESCRIPTION = """\
Cluster documents by topic and print a table: for each cluster its size, the mean cosine of its
documents with its center, its top terms and the document nearest to the center.
"""

_PATHS = """\
PATH may be
  a folder                  every text file in it is a document
  a .jsonl, .csv or .tsv    one column holds the documents (see --column)
  a .npz                    a matrix saved by scipy.sparse.save_npz, values used as they are
{numbers}  any other file            a document a line
{nothing}
Terms of texts are words of two letters or more, in lower case; they are weighed by TF-IDF. Documents in
which no term is left {label}take no part.
"""
_SEARCHED = _PATHS.format(numbers="", nothing="", label="")
_CLUSTERED = _PATHS.format(
    numbers="  a .npy, .parquet, .arrow  rows of numbers, or a folder of such and .npz, read by blocks\n",
    nothing="  left out                  the docstrings of Python's standard library\n",
    label="get the label -1 and ",
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line in the form of every other message.

    Attributes
    ----------
    commands : dict
        The parser of each command.
    """

    commands: dict[str, Parser]

    def error(self, message: str) -> NoReturn:
        """Print one line, without the usage, in the form of every other message."""
        message = message.removeprefix("argument ").replace(": ", " ", 1)
        outputs.speak_as(self.prog.removeprefix(_PROGRAM).strip())
        outputs.tell(f"{message.rstrip('.')}. See {self.prog} --help.")
        self.exit(2)

    def parse(self, argv: list[str] | None) -> argparse.Namespace:
        """Parse the command line; what a command does not know is refused by the command."""
        arguments, unknown = self.parse_known_args(argv)
        if unknown:
            command = arguments.command
            teller = self if command is None else self.commands[command]
            teller.error(f"unrecognized arguments: {' '.join(unknown)}")
        return arguments

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is not among the choices, with the nearest of them."""
        if action.choices is None or value in action.choices:
            return
        names = [str(name) for name in action.choices]
        near = get_close_matches(str(value), names, 1)
        remedy = f". The nearest is {near[0]!r}" if near else ""
        got = f"{str(value)[:80]!r}{remedy}"
        raise argparse.ArgumentError(action, f"must be one of {', '.join(names)}; got {got}")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help, also where nobody reads it: argparse of Python 3.10 expects that files are open."""
        with suppress(OSError, ValueError):
            if message and (file or sys.stderr):
                (file or sys.stderr).write(message)


def command_line() -> Parser:
    """The parser of all commands."""
    from latom import __version__

    main = Parser(prog=_PROGRAM, description=_COMMANDS)
    main.add_argument("--version", action="version", version=f"latom {__version__}")
    commands = main.add_subparsers(dest="command", metavar="COMMAND")
    main.commands = commands.choices
    cluster = commands.add_parser(
        "cluster",
        help="cluster documents and print a table of topics",
        description=_DESCRIPTION,
        epilog=_CLUSTERED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_inputs(cluster)
    add = cluster.add_argument
    add("-k", "--n-clusters", type=_positive, default=20, metavar="K", help="clusters (20)")
    add("--seed", type=_seed, default=0, metavar="N", help="of the starting centers (0)")
    add("--n-init", type=_positive, default=1, metavar="N", help="starts, the best is kept (1)")
    add("--max-iter", type=_positive, default=100, metavar="N", help="iterations at most (100)")
    add("--top-terms", type=_positive, default=8, metavar="N", help="terms shown a cluster (8)")
    add("--labels", type=_path, metavar="OUT", help="write labels: .txt, .csv or .npy")
    add("--plot", type=_path, metavar="OUT", help="write a picture: .png, .svg or .pdf")
    add("--stream", action="store_true", help="read texts anew where needed, keep none in memory")
    add("-q", "--quiet", action="store_true", help="print warnings and errors only")
    add("--version", action="version", version=f"latom {__version__}")
    search.add_commands(commands, _add_inputs, _positive, _share, _SEARCHED)
    check = commands.add_parser(
        "cuda-check",
        help="hold a GPU's answers to the CPU's, and time them",
        description="Hold a GPU's answers to the CPU's, and time them. Needs a build with CUDA.",
        allow_abbrev=False,
    )
    check.add_argument("--quick", action="store_true", help="a few small cases only, and no times")
    check.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return main


def _add_inputs(command: argparse.ArgumentParser, needed: bool = False) -> None:
    """What every command that reads documents takes."""
    add = command.add_argument
    add("path", nargs=None if needed else "?", type=_path, metavar="PATH", help="documents; see below")
    add("--column", metavar="NAME", help="the column with the texts (guessed)")
    add("--vocabulary", type=_path, metavar="FILE", help="terms of an .npz, one per line")
    add("--encoding", default="utf-8", type=_encoding, metavar="NAME", help="of the files (utf-8)")
    add(
        "--stop-words", type=_stop_words, metavar="WORDS",
        help="drop the words of a language or file: english, none, or a file of words (english)",
    )  # fmt: skip
    add(
        "--min-df", type=_positive, metavar="N",
        help="drop terms in fewer documents (1 below 100 documents, 2 below 10,000, else 5)",
    )  # fmt: skip
    add(
        "--max-df", type=_share, metavar="SHARE",
        help="drop terms in more than this share of the documents (1 below 100 documents, else 0.5)",
    )  # fmt: skip
    add("--max-features", type=_positive, metavar="N", help="keep the N most frequent terms (all)")
    add("--threads", type=_threads, metavar="N", help="threads (all)")


def _integer(text: str, least: int, most: int = 2**31 - 1) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        bounds = f"of at least {least}" if value < least else f"of at most {most}"
        raise argparse.ArgumentTypeError(f"must be an integer {bounds}; got {text[:80]!r}")
    return value


def _positive(text: str) -> int:
    return _integer(text, 1)


def _threads(text: str) -> int:
    return _integer(text, 1, 4096)


def _seed(text: str) -> int:
    return _integer(text, 0, 2**32 - 1)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and at most 1; got {text[:80]!r}")
    return value


def _stop_words(text: str) -> Path | str:
    return text if text in ("english", "none") else _path(text)


def _encoding(text: str) -> str:
    try:
        "".encode(text)  # refuses codecs that are not of text, which lookup() takes
        return codecs.lookup(text).name
    except (LookupError, ValueError):
        message = f"must be a text encoding of Python; got {text[:80]!r}"
        raise argparse.ArgumentTypeError(message) from None


def _path(text: str) -> Path:
    """Make a path of what the system takes for one: no NUL, no name too long, no folder that is closed."""
    got = text if len(text) <= 80 else f"...{text[-77:]}"
    try:
        if not text:
            raise ValueError("an empty name")
        path = Path(text)
        os.stat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        message = f"must be the name of a file or folder; got {got!r}, {why}"
        raise argparse.ArgumentTypeError(message) from None
    return path
