"""The one rule of what is not finite, and of results that their type does not hold."""

from __future__ import annotations

import numpy as np
import pytest

import latom
from latom._base.finite import check_finite, check_held


@pytest.mark.parametrize(
    ("shape", "place", "words"),
    [
        ((5,), (3,), "got nan at 3. R."),
        ((4, 2), (2, 1), "got nan in row 2. R."),
        ((2, 3, 4), (1, 0, 2), r"got nan at \(1, 0, 2\). R."),
        ((), (), r"got nan at \(\). R."),
    ],
)
def test_the_first_wrong_number_is_named(shape, place, words):
    numbers = np.zeros(shape)
    check_finite("f", "X", numbers, "R.", negative=False)
    numbers[place] = np.nan
    for dtype in (np.float32, np.float64):
        with pytest.raises(ValueError, match=rf"^f: X must be finite; {words}$"):
            check_finite("f", "X", numbers.astype(dtype), "R.")


def test_negative_numbers_where_they_may_not_come():
    numbers = np.array([0.0, -0.0, 2, -1, np.inf])
    with pytest.raises(ValueError, match=r"X must be finite and not negative; got -1\.0 for item 3\. R\."):
        check_finite("f", "X", numbers, "R.", negative=False, place="for item")
    with pytest.raises(ValueError, match=r"X must be in range; got inf at 4\. R\."):
        check_finite("f", "X", numbers, "R.", must="be in range")
    for kind in (np.int8, np.uint8, bool):
        check_finite("f", "X", np.ones(3, kind), "R.", negative=False)


def test_results_name_their_type_and_a_remedy():
    held = np.array([1e38], np.float32)
    check_held("f", "X", "scores", held, held.astype(np.float64))
    with np.errstate(over="ignore"):
        beyond = held * np.float32(10)
    with pytest.raises(
        ValueError,
        match=r"^f: X must have scores that float32 holds; got one beyond 3\.4e38\. Scale X to numbers of "
        r"about 1, or pass float64\.$",
    ):
        check_held("f", "X", "scores", held, beyond)
    with pytest.raises(
        ValueError, match=r"float64 holds; got one beyond 1\.8e308\. Scale X to numbers of about 1\.$"
    ):
        check_held("f", "X", "scores", np.array([np.nan]))
    with pytest.raises(ValueError, match=r"beyond 3\.4e38\. Pass another\.$"):
        check_held("f", "X", "scores", beyond, remedy="Pass another.")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: latom.nmf_batch(-np.ones((3, 4)), 2, 1),
            r"nmf_batch: X must be finite and not negative; got -1\.0 in",
        ),
        (
            lambda: latom.NonNegativeCP(1).fit(-np.ones((2, 2, 2))),
            r"CP\.fit: X must be .* got -1\.0 at \(0, 0, 0\)",
        ),
        (
            lambda: latom.LatentLabelShift(2).fit(-np.ones((4, 3)), [0, 1, 0, 1]),
            r"X must hold probabilities, .* got -1\.0 in row 0",
        ),
        (
            lambda: latom.CUR(1, 1).fit(np.full((2, 2), np.inf)),
            r"CUR\.fit: X must be finite.*; got inf in row 0\.",
        ),
        (
            lambda: latom.weighted_sample([1, np.nan], 1),
            r"weights must be finite and not negative; got nan at 1\.",
        ),
    ],
)
def test_every_family_asks_it(call, words):
    with pytest.raises(ValueError, match=words):
        call()
