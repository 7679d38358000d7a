"""The command line: python -m latom."""
