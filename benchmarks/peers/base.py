"""What an adapter is: how a library is imported, fed and asked for its answer.

`prepare` may convert what the library cannot take as it is; that is not timed. What it returns is
timed from call to return. Warnings and prints of a library end in the log of its process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, NamedTuple, TypeVar

import numpy as np
from data import Problem
from machine import blas_variables


class Answer(NamedTuple):
    """What a fit gave. `output` is called outside the timed part; its array is what the task scores."""

    output: Callable[[], np.ndarray]
    n_iter: int


Fit = Callable[[int], Answer]


class Peer(ABC):
    """A library that solves one task.

    Attributes
    ----------
    name : str
        In reports and on the command line.
    distribution : str
        On the package index; gives the version.
    note : str
        What a reader of the table must know.
    environment : mapping
        Variables set for its process before anything is imported; empty as installed.
    sample : bool
        It looks at some of the rows alone, so that its speed is told and not compared.
    final_pass : bool
        A fit of n iterations ends with one more assignment pass, so it costs about n + 1.
    labels_pass : bool
        A fit gives centers alone; the labels that are scored come from one more pass, not timed.
    typical_first : bool
        The first iteration costs about as much as the later ones, so that it may stand for them.
    lengths : tuple of int
        Iterations of the fits that look for a loss, where they are to be other than its peers'.
    """

    name: str
    distribution: str
    note: str = ""
    environment: Mapping[str, str] = {}
    sample: bool = False
    final_pass: bool = False
    labels_pass: bool = False
    typical_first: bool = True
    lengths: tuple[int, ...] = ()

    @abstractmethod
    def load(self) -> None:
        """Import the library; whatever goes wrong here makes its cases skip with the reason."""

    @abstractmethod
    def prepare(self, problem: Problem, threads: int) -> Fit:
        """Convert the problem (not timed) and return the fit (timed): iterations -> answer."""

    def least_memory(self, n: int, d: int, m: int) -> int:
        """Bytes that the library allocates at least, by its source; 0 where that is modest."""
        return 0

    def passes(self, n_iter: int) -> int:
        """Assignment passes that a fit of `n_iter` iterations spends its time on."""
        return n_iter + int(self.final_pass)

    def scored_passes(self, n_iter: int) -> int:
        """Assignment passes up to the labels that are scored."""
        return self.passes(n_iter) + int(self.labels_pass)


class Call(Peer):
    """A library that answers with one call, without iterations: a "fit" of n is the call n times."""

    @abstractmethod
    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        """Convert the problem (not timed) and return the call (timed)."""

    def output(self, result: Any) -> np.ndarray:
        """The part of a call's result that the task scores."""
        return np.asarray(result)

    def prepare(self, problem: Problem, threads: int) -> Fit:
        call = self.bind(problem, threads)

        def fit(n_iter: int) -> Answer:
            for _ in range(n_iter - 1):
                call()
            result = call()
            return Answer(lambda: self.output(result), n_iter)

        return fit


AnyPeer = TypeVar("AnyPeer", bound=Peer)


def tuned(peer: AnyPeer) -> tuple[AnyPeer, ...]:
    """The library as installed and, where this CPU has more to choose, with the best kernels of its OpenBLAS.

    For libraries that bring one and spend their time there; the second has "tuned" in its name.
    """
    variables = blas_variables()
    if not variables:
        return (peer,)
    other = copy(peer)
    other.name = peer.name + (", tuned" if ", " in peer.name else "-tuned")
    other.environment = {**peer.environment, **variables}
    chosen = ", ".join(f"{name}={value}" for name, value in variables.items())
    other.note = "; ".join(filter(None, (chosen, peer.note)))
    return peer, other


def by_name(*peers: AnyPeer) -> dict[str, AnyPeer]:
    """Table of a family, in the order in which its cases run."""
    return {peer.name: peer for peer in peers}
