"""``python -m latom``: the command line; see `latom.cli`."""

from latom.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
