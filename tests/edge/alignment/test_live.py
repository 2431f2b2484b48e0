"""`doa_edge align` at a device that is none: what it asks for, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.ambisonics import rotate_ambix
from doa_core.angles import rotation_matrix
from doa_edge.alignment.live import instruction
from doa_edge.input.stream import Gap, Source
from tests.edge.alignment.conftest import MOUNT, PLACES, assert_mount


class Room(Source):
    """A device: what is to come from it, and then an interruption or the end."""

    def __init__(self, items, *, interrupted=False):
        self.name, self.items, self.interrupted, self.closed = "Ambi", items, interrupted, False

    def __iter__(self):
        for item in self.items:
            if isinstance(item, Gap):
                yield item
                continue
            for start in range(0, len(item), 1600):
                yield item[start : start + 1600]
        if self.interrupted:
            raise KeyboardInterrupt

    def close(self):
        self.closed = True


@pytest.fixture
def room(monkeypatch):
    """Have `--device` be a `Room`."""

    def make(items, **settings):
        source = Room(items, **settings)

        def open_source(**asked):
            assert asked["input"] is None
            assert asked["input_format"].mount is None
            return source

        monkeypatch.setattr("doa_edge.input.sources.open_source", open_source)
        return source

    return make


SILENCE = np.zeros((16_000, 4), np.float32)
ONCE = ("--wait", "1", "--seconds", "2")


def test_a_device_is_asked_for_one_place_after_the_other(align, room, plane_wave):
    turn = rotation_matrix(*np.radians(MOUNT)).T
    heard = [rotate_ambix(plane_wave(*place, seconds=2.4), turn) for place in PLACES[:2]]
    walk = plane_wave(-120, 0, seconds=1.0)  # is not heard
    source = room([walk, heard[0], walk, Gap(samples=1600, reason="lost"), heard[1], SILENCE])
    status, message, talk = align("--places", "2", *ONCE)
    assert status == 0
    assert_mount(message, MOUNT)
    assert source.closed
    lines = talk.splitlines()
    assert lines[0] == "doa_edge: listening to Ambi; Ctrl-C ends"
    assert lines[1] == (
        "doa_edge: place 1 of 2: stand ahead of the microphone, one or two metres away, your mouth "
        "at its height. In 1 s speak for 2 seconds, alone, and stand still"
    )
    assert lines[2] == "doa_edge: place 1 of 2: speak now"
    assert lines[3] == "doa_edge: place 1 of 2: heard, thank you"
    assert "place 2 of 2: stand to the left of the microphone" in lines[4]


def test_a_place_that_is_refused_is_asked_for_again(align, room, plane_wave):
    moved = [plane_wave(0, 0, seconds=1.3), plane_wave(100, 0, seconds=1.3)]
    room([SILENCE, *moved, SILENCE, plane_wave(40, 0, seconds=2.6), SILENCE])
    status, message, talk = align(*ONCE)
    assert status == 0
    assert_mount(message, (-40, 0, 0))
    assert talk.count("the talker moved") == 1
    assert talk.count("once more") == 1


def test_a_place_where_nobody_speaks_is_refused_in_the_end(align, room):
    room([np.zeros((16_000 * 80, 4), np.float32)])
    status, message, talk = align(*ONCE)
    assert (status, message) == (2, None)
    assert talk.count("once more") == 2
    assert "Place 1 of 1: Somebody must speak" in talk


def test_a_device_that_ends_is_not_asked_again(align, room, plane_wave):
    room([SILENCE, plane_wave(0, 0, seconds=0.5)])
    status, _, talk = align(*ONCE)
    assert status == 2
    assert "once more" not in talk


def test_an_interruption_prints_what_was_measured_and_writes_nothing(
    align, room, plane_wave, tmp_path
):
    config = tmp_path / "doa.toml"
    config.write_text("mount = [1, 2, 3]  # as before\n")
    room([SILENCE, plane_wave(25, 0, seconds=2.4), SILENCE], interrupted=True)
    status, message, talk = align("--places", "2", *ONCE, "--config", config, "--write")
    assert status == 130
    assert_mount(message, (-25, 0, 0))
    assert message["interrupted"] is True
    assert "interrupted: of the 1 places so far; nothing was written" in talk
    assert config.read_text() == "mount = [1, 2, 3]  # as before\n"


def test_an_interruption_before_the_first_place_prints_nothing(align, room):
    room([SILENCE], interrupted=True)
    status, message, _ = align(*ONCE)
    assert (status, message) == (130, None)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((180.0, 0.0), "stand behind the microphone, one or two metres away, your mouth at its"),
        ((-180.0, 0.0), "stand behind the microphone"),
        ((270.0, 0.0), "stand to the right of the microphone"),
        ((360.0, 10.0), "stand ahead of the microphone, one or two metres away, your mouth 10 deg"),
        (
            (45.0, -5.0),
            "stand at azimuth 45 degrees, one or two metres away, your mouth 5 degrees b",
        ),
        ((0.0, 90.0), "bring your mouth right above the microphone"),
        ((0.0, -90.0), "bring your mouth right below the microphone"),
    ],
)
def test_what_a_talker_is_asked_to_do(place, words):
    assert instruction(*place).startswith(words)
