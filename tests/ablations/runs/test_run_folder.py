"""Errors of the results folder say what to do."""

import errno

import pytest

from ablations.runs.run_folder import no_room_error


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EROFS, "mount it for writing"),
    ],
)
def test_advice_fits_why_nothing_can_be_written(number, remedy):
    assert f"; {remedy} and give" in str(no_room_error(None, number))
