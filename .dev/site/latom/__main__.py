"""``python -m latom``: the command line; see `latom.cli.main`."""

from latom.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
