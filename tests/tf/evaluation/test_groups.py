"""Groups by a column: values as they stand, many numbers in round ranges."""

from pathlib import Path

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_tf.evaluation.groups import check_group, column_numbers, group_names, grouped, range_edges
from doa_tf.scenes.folder import Scene, Scenes


def scenes(column, values, elevations=None):
    elevations = elevations if elevations is not None else [0.0] * len(values)
    return [
        Scene(
            file=f"{k}.wav",
            path=Path(f"{k}.wav"),
            azimuth_deg=10.0,
            elevation_deg=float(elevation),
            columns={column: str(value)},
        )
        for k, (value, elevation) in enumerate(zip(values, elevations, strict=True))
    ]


@pytest.mark.parametrize(
    ("low", "high", "degrees", "edges"),
    [
        (0.1, 19.8, False, [0, 5, 10, 15, 20]),
        (-4.9, 29.9, False, [-5, 0, 5, 10, 15, 20, 25, 30]),
        (0.2, 0.8, False, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]),
        (-89.0, 88.0, True, [-90, -60, -30, 0, 30, 60, 90]),
        (-179.0, 180.0, True, list(range(-180, 181, 45))),
        (3.0, 3.0, False, None),
    ],
)
def test_ranges_have_round_edges_and_hold_all(low, high, degrees, edges):
    found = range_edges(np.array([low, high]), degrees=degrees)
    assert 2 <= len(found) <= 9
    assert found[0] <= low <= high <= found[-1]
    if edges is not None:
        assert found.tolist() == pytest.approx(edges)


def test_many_numbers_make_ranges_in_order_and_scenes_without_one_come_last():
    rng = np.random.default_rng(0)
    values = [*np.round(rng.uniform(0.0, 20.0, 40), 2), "nan", ""]
    found = scenes("snr_db", values)
    names = group_names(found, "snr_db")
    groups = grouped(names)
    assert list(groups) == ["0 to 5", "5 to 10", "10 to 15", "15 to 20", "none"]
    assert groups["none"] == [40, 41]
    for name, indices in groups.items():
        if name != "none":
            low, high = map(float, name.split(" to "))
            assert all(low <= float(values[index]) < high for index in indices)
    assert np.isnan(column_numbers(found, "snr_db")[40:]).all()


def test_negative_ranges_are_in_order():
    found = scenes("x", range(40), np.linspace(-80, 80, 40))
    names = list(grouped(group_names(found, "elevation_deg")))
    assert names == ["-90 to -60", "-60 to -30", "-30 to 0", "0 to 30", "30 to 60", "60 to 90"]


@pytest.mark.parametrize(
    "values", [["b", "a", "b"], ["3", "1", "2"], [f"room {k}" for k in range(40)]]
)
def test_words_and_few_numbers_are_their_own_groups(values):
    groups = grouped(group_names(scenes("x", values), "x"))
    assert list(groups) == list(dict.fromkeys(values))


def test_a_column_of_numbers_with_words_among_them_is_taken_by_its_values():
    values = [*(f"{k}.5" for k in range(20)), "kitchen"]
    assert group_names(scenes("x", values), "x") == values


def test_columns_are_checked():
    some = Scenes(folder=Path("s"), scenes=tuple(scenes("x", ["1"])), columns=("x",))
    assert check_group(some, None) is None
    assert check_group(some, "elevation") == "elevation_deg"
    assert check_group(some, "x") == "x"
    with pytest.raises(InputError, match=r"by x, azimuth_deg, elevation_deg\. Received: room"):
        check_group(some, "room")
