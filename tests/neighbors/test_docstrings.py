"""The examples in docstrings of neighbors, and what stands beside them."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

from latom import neighbors


@pytest.mark.parametrize("name", ["estimators", "graphs", "hubness", "index", "matching"])
def test_examples_run(name):
    found = doctest.testmod(importlib.import_module(f"latom.neighbors.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("name", neighbors.__all__)
def test_public_docstrings_are_whole(name):
    public = getattr(neighbors, name)
    assert "Examples\n" in inspect.getdoc(public) or name == "Hubness"
    methods = [m for m in vars(public).values() if inspect.isfunction(m) and m.__name__[0] != "_"]
    for function in [public] if inspect.isfunction(public) else methods:
        assert "Raises\n" in inspect.getdoc(function), function.__qualname__
