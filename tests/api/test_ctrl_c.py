"""Ctrl-C stops the long calls of every family within a second."""

from __future__ import annotations
