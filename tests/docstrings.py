"""Runs the examples in the docstring of a public name; there is at least one."""

from __future__ import annotations

import doctest
import importlib
from typing import Any


def run_examples(made: Any) -> None:
    """The examples of a function, or of a class and its methods, give what they say."""
    finder = doctest.DocTestFinder()
    tests = finder.find(made, made.__name__, importlib.import_module(made.__module__))
    assert sum(len(test.examples) for test in tests), made.__name__
    for test in tests:
        assert not doctest.DocTestRunner().run(test).failed, test.name
