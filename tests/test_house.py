"""The house stays a house: no folder, file or function grows beyond what one reads at a sitting."""

from __future__ import annotations

import pytest

from tests import house


@pytest.mark.parametrize(
    ("measures", "limit"),
    [
        (house.folders, house.FILES_IN_A_FOLDER),
        (house.files, house.LINES_OF_A_FILE),
        (house.functions, house.LINES_OF_A_FUNCTION),
        (house.parameters, house.PARAMETERS),
    ],
)
def test_nothing_is_too_large(measures, limit):
    too_large = [f"{measure.of}: {measure.size}" for measure in measures() if measure.size > limit]
    assert not too_large, f"at most {limit} are wanted"
