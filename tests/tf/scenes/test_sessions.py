"""Meetings and walks: labels say who is heard where, images add up, blocks do not matter."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_tf.rooms.bank.bank import RoomBank
from doa_tf.rooms.path import draw_path_room
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.room import Room
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.labels.table import Row, scene_of_file
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.recordings import Recordings
from doa_tf.scenes.sessions import meeting, moving
from doa_tf.scenes.sessions.background import Source, draw_background, power_in
from doa_tf.scenes.sessions.meeting import MeetingSettings, draw_meeting, draw_speakers, draw_turns
from doa_tf.scenes.sessions.moving import STEP, MovingSettings, Walker, draw_walk
from doa_tf.scenes.sessions.voice import Turn, Voice
from tests.tf.conftest import speech_like

QUIET = MixSettings(diffuse_fields=2, snr_db=(60, 60), sir_db=(60, 60), self_noise_db=(90, 90))
DRY_ROOM = RoomSettings(dry_share=1.0, dry_absorption=(1.0, 1.0), microphone="ideal")


def room_of(directions, *, taps=1):
    """An anechoic room: its responses are a plane wave each."""
    directions = np.asarray(directions, float)
    impulse = np.eye(1, taps, dtype=np.float32)[0]
    return Room(
        number=0,
        rt60=0.0,
        size=np.full(3, 5.0),
        microphone=np.full(3, 2.5),
        directions=directions,
        distances=np.ones(len(directions)),
        srirs=[encode_plane_wave(impulse, direction) for direction in directions],
        drr_db=np.full(len(directions), np.inf),
    )


def around(*azimuths_deg):
    return angles_to_vector(np.radians(azimuths_deg), 0.0)


@pytest.fixture(scope="module")
def speech():
    return Recordings.from_signals([speech_like(seed, 3.0) for seed in range(5)])


@pytest.fixture(scope="module")
def mixer(speech):
    return SceneMixer([room_of(around(0, 90, 180, -90, 10))], speech, settings=QUIET)


def whole(session):
    """{name: (N, 4)} images of a session."""
    blocks = list(session.blocks())
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def scene_of(session):
    rows = [
        {"file": "a", **{name: str(cell) for name, cell in row.items()}} for row in session.rows
    ]
    listed = [Row(f"row {number}", row) for number, row in enumerate(rows)]
    return scene_of_file(listed, "a", seconds=session.samples / SAMPLE_RATE)


def intensity(image):
    vector = np.sum(image[:, :1].astype(float) * image[:, [3, 1, 2]], axis=0)
    return vector / np.linalg.norm(vector)


def test_a_meeting_comes_from_where_its_labels_say(mixer):
    session = draw_meeting(mixer, (3,), settings=MeetingSettings())
    images, scene = whole(session), scene_of(session)
    assert session.samples == 24 * SAMPLE_RATE
    assert {talker.name for talker in scene.talkers} == {"1", "2", "3"} == set(images) - {"noise"}
    for talker in scene.talkers:
        image = images[talker.name]
        (direction,) = {each.direction.tobytes() for each in talker.stretches}
        error = great_circle_distance(intensity(image), np.frombuffer(direction))
        assert np.degrees(error) < 0.01  # rounding of the labels
    directions = [talker.stretches[0].direction for talker in scene.talkers]
    for first, second in combinations(directions, 2):
        assert np.degrees(great_circle_distance(first, second)) > 25.0


def test_nobody_is_loud_outside_of_their_stretches(mixer):
    session = draw_meeting(mixer, (4,), settings=MeetingSettings())
    images, scene = whole(session), scene_of(session)
    times = (np.arange(session.samples) + 0.5) / SAMPLE_RATE
    levels = {}
    for talker in scene.talkers:
        talks = talker.directions_at(times).any(axis=1)
        w = images[talker.name][:, 0].astype(float)
        levels[talker.name] = np.mean(w[talks] ** 2)
        # Frames below 25 dB under the loud parts, which are above the mean.
        assert np.max(w[~talks] ** 2, initial=0.0) < 0.3 * np.max(w[talks] ** 2)
        assert np.mean(w[~talks] ** 2) < 0.01 * levels[talker.name]
    below = {row["talker"]: row["below_db"] for row in session.rows}
    loudest = max(levels.values())
    for name, level in levels.items():
        assert 10.0 * np.log10(loudest / level) == pytest.approx(below[name], abs=0.1)


def test_ratios_and_level_are_as_drawn(mixer):
    settings = replace(QUIET, snr_db=(6, 6), sir_db=(3, 3), level_dbfs=(-20, -20))
    noisy = SceneMixer(mixer.rooms, mixer.speech, settings=settings)
    session = draw_meeting(noisy, (1,), settings=MeetingSettings(noise_share=1.0))
    images, scene = whole(session), scene_of(session)
    assert (session.rows[0]["snr_db"], session.rows[0]["sir_db"]) == (6.0, 3.0)
    assert session.rows[0]["interferer_azimuth_deg"] != ""
    times = (np.arange(session.samples) + 0.5) / SAMPLE_RATE
    powers = []
    for talker in scene.talkers:
        w = images[talker.name][:, 0].astype(float)
        powers.append(np.mean(w[talker.directions_at(times).any(axis=1)] ** 2))
    noise = np.mean(images["noise"][:, 0].astype(float) ** 2)
    expected = 10**-0.6 + 10**-0.3
    assert 10 * np.log10(noise / np.mean(powers) / expected) == pytest.approx(0.0, abs=0.5)
    assert 10 * np.log10(noise + np.mean(powers)) == pytest.approx(-20.0, abs=0.5)


def test_a_meeting_is_a_function_of_its_key(mixer):
    settings = MeetingSettings(seconds=6.0)
    first, again, other = (draw_meeting(mixer, (k,), settings=settings) for k in (1, 1, 2))
    assert list(first.rows) == list(again.rows) != list(other.rows)
    for name, image in whole(first).items():
        np.testing.assert_array_equal(image, whole(again)[name])


def test_the_parts_of_an_image_do_not_depend_on_the_blocks(speech):
    rng = np.random.default_rng(0)
    srir = (rng.standard_normal((700, 4)) * 0.99 ** np.arange(700)[:, np.newaxis]).astype("f4")
    room = replace(room_of(around(0)), srirs=[srir])
    noisy = SceneMixer([room], speech, settings=MixSettings(diffuse_fields=1))
    response = 0.1 * rng.standard_normal((9, 4, 4)).astype(np.float32)
    background = draw_background(
        rng, noisy, diffuse_response=response, noise_gains=np.ones(4), srir=srir, key=(5,)
    )
    voice = Voice(speech=speech, numbers=(1, 3), turns=(Turn(start=900, stop=70_000, at=31_000),))
    place = draw_path_room((1,), settings=DRY_ROOM, clearance=1.3)
    places = place.plan.microphone + np.array([1.0, 0.0, 0.0]) + np.zeros((50, 3))
    walker = Walker(dry=voice.dry, room=place, places=places)
    for image in (Source(dry=voice.dry, srir=srir), walker, background):
        at_once = image(0, 60_000)
        parts = [image(start, stop) for start, stop in ((0, 1), (1, 33_000), (33_000, 60_000))]
        scale = np.abs(at_once).max()
        np.testing.assert_allclose(np.concatenate(parts), at_once, atol=1e-5 * scale)


def test_people_take_turns():
    samples = 600 * SAMPLE_RATE
    turns = draw_turns(np.random.default_rng(0), 3, samples)
    heard = np.zeros(samples // 160, int)
    ordered = sorted((*turn, person) for person in range(3) for turn in turns[person])
    for own in turns:
        assert all(after[0] - before[1] >= 0.29 * SAMPLE_RATE for before, after in pairwise(own))
        for start, stop in own:
            assert 0 <= start < stop <= samples
            heard[start // 160 : stop // 160] += 1
    assert {person for *_, person in ordered[:3]} == {0, 1, 2}
    assert heard.max() == 2
    changes = list(pairwise(ordered))
    assert all(before[2] != after[2] for before, after in changes)
    overlaps = np.mean([after[0] < before[1] for before, after in changes])
    silences = np.mean([after[0] - before[1] > 0.95 * SAMPLE_RATE for before, after in changes])
    assert overlaps == pytest.approx(0.25, abs=0.1)
    assert silences == pytest.approx(0.2, abs=0.1)


def test_a_voice_goes_on_where_it_stopped_and_begins_anew(speech):
    numbers, length = (2, 0), speech.length(2) + speech.length(0)
    said = np.concatenate([speech[2], speech[0], speech[2]])
    turns = (Turn(start=100, stop=30_000, at=7), Turn(start=40_000, stop=80_000, at=length - 500))
    voice = Voice(speech=speech, numbers=numbers, turns=turns)
    dry = voice.dry(-50, 90_000)
    assert not dry[:150].any()
    assert not dry[30_050:40_050].any()
    np.testing.assert_array_equal(dry[250:29_050], said[107:28_907])
    np.testing.assert_array_equal(dry[50 + 40_100 : 50 + 79_900], said[length - 400 :][:39_800])


def test_who_is_heard_is_measured_against_their_own_loud_parts():
    signal = np.zeros(5 * SAMPLE_RATE, np.float32)
    tone = np.sin(np.arange(SAMPLE_RATE // 2) * 0.3).astype(np.float32)
    second = SAMPLE_RATE
    for start, level_db in ((0.0, 0), (0.7, 0), (2.0, -20), (3.0, -30), (4.0, 0)):
        begin = int(start * second)
        signal[begin : begin + len(tone)] = 10 ** (level_db / 20) * tone
    voice = Voice(
        speech=Recordings.from_signals([signal]),
        numbers=(0,),
        turns=(Turn(start=second, stop=6 * second),),
    )
    # Frames of 20 ms; the gap of 0.2 s is closed, what is 30 dB down is not heard.
    expected = [(1.0, 2.2), (3.0, 3.5), (5.0, 5.5)]
    found = [(start / second, stop / second) for start, stop in voice.heard()]
    np.testing.assert_allclose(found, expected, atol=0.021)
    silent = replace(voice, turns=(Turn(start=0, stop=100, at=int(1.5 * second)),))
    assert silent.heard() == []


def test_speakers_differ_as_far_as_there_are_several(speech):
    rng = np.random.default_rng(0)
    named = Recordings(speech.samples, speech.starts, speech.power, ["a", "b", "a", "c", "b"])
    for _ in range(5):
        chosen = draw_speakers(rng, named, 3)
        assert sorted(chosen) == [(0, 2), (1, 4), (3,)]
    assert len({*draw_speakers(rng, named, 4)}) == 4  # one recording each
    single = Recordings(*speech_of_one(speech), ["a"])
    assert draw_speakers(rng, single, 2) == [(0,), (0,)]


def speech_of_one(speech):
    return speech.samples[: speech.length(0)], speech.starts[:2], speech.power[:1]


def test_people_sit_apart_where_a_room_has_such_places(speech):
    crowded, wide = room_of(around(0, 10, 20, 30)), room_of(around(0, 10, 60, 120))
    mixer = SceneMixer([crowded, crowded, wide], speech, settings=QUIET)
    for key in range(4):
        scene = scene_of(draw_meeting(mixer, (key,), settings=MeetingSettings(noise_share=0.0)))
        azimuths = sorted(talker.stretches[0].azimuth_deg for talker in scene.talkers)
        assert min(np.diff(azimuths)) >= 25.0
    mixer = SceneMixer([crowded], speech, settings=QUIET)
    scene = scene_of(draw_meeting(mixer, (0,), settings=MeetingSettings(noise_share=0.0)))
    azimuths = sorted(talker.stretches[0].azimuth_deg for talker in scene.talkers)
    np.testing.assert_allclose(min(np.diff(azimuths)), 10.0, atol=0.01)


def test_too_few_places_are_refused(speech):
    mixer = SceneMixer([room_of(around(0, 90))], speech, settings=QUIET)
    message = r"3 people needs a room with as many sources.*--sources 4.*rooms with at most 2"
    with pytest.raises(InputError, match=message):
        draw_meeting(mixer, (0,), settings=MeetingSettings())
    # Two have places, and no noise has.
    session = draw_meeting(mixer, (0,), settings=MeetingSettings(people=2, noise_share=1.0))
    assert session.rows[0]["sir_db"] == ""


def test_a_meeting_in_which_nobody_says_a_word(mixer, monkeypatch):
    monkeypatch.setattr(meeting, "draw_turns", lambda rng, people, samples: people * [[]])
    session = draw_meeting(mixer, (0,), settings=MeetingSettings(seconds=2.0))
    assert set(session.images) == {"noise"}
    assert scene_of(session).talkers == ()
    assert np.isfinite(whole(session)["noise"]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MeetingSettings(people=1), "`people` must be an integer between 2 and 4"),
        (lambda: MeetingSettings(people=5), "`people` must be an integer between 2 and 4"),
        (lambda: MeetingSettings(seconds=0.5), "`seconds` must lie between 1 and 14400"),
        (lambda: MeetingSettings(seconds=float("nan")), "`seconds` must lie between 1 and 14400"),
        (lambda: MeetingSettings(noise_share=1.5), "`noise_share` must be in"),
        (lambda: MovingSettings(walkers=3), "`walkers` must be an integer between 1 and 2"),
        (lambda: MovingSettings(seconds=float("inf")), "`seconds` must lie between 1 and 14400"),
        (lambda: MovingSettings(speed_deg=(0.0, 9.0)), "`speed_deg` must be 0 < low <= high"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture
def walk(speech, monkeypatch):
    """A walk without walls: settings, session, images."""
    monkeypatch.setattr(moving, "_room_settings", lambda mixer: DRY_ROOM)

    def draw(key, **settings):
        mixer = SceneMixer([room_of(around(0))], speech, settings=QUIET)
        return draw_walk(mixer, key, settings=MovingSettings(**settings))

    return draw


def test_a_walker_is_heard_where_the_labels_say(walk):
    session = walk((7,), seconds=5.0)
    image, scene = whole(session)["1"], scene_of(session)
    (talker,) = scene.talkers
    errors = []
    for each in talker.stretches:
        assert each.end_s - each.start_s <= 0.1 + 1e-6
        if each.end_s - each.start_s < 0.09:
            continue
        part = image[round(each.start_s * SAMPLE_RATE) : round(each.end_s * SAMPLE_RATE)]
        errors.append(np.degrees(great_circle_distance(intensity(part), each.direction)))
    assert len(errors) > 20
    # Half of what a walker goes in 0.1 s: speech is not even within it, and sound takes its time.
    assert np.median(errors) < 1.0
    assert max(errors) < 2.0


@pytest.mark.parametrize("key", [(1,), (2,), (3,)])
def test_walkers_are_as_fast_as_asked(walk, key):
    scene = scene_of(walk(key, seconds=8.0))
    (talker,) = scene.talkers
    directions = talker.directions_at(0.05 + 0.1 * np.arange(80))
    both = directions[:-1].any(axis=1) & directions[1:].any(axis=1)
    steps = np.degrees(great_circle_distance(directions[:-1][both], directions[1:][both]))
    assert 20.0 <= 10.0 * np.median(steps) <= 40.0


def test_two_walkers_cross(walk):
    scene = scene_of(walk((5,), seconds=12.0, walkers=2))
    first, second = (talker.directions_at(0.05 + 0.1 * np.arange(120)) for talker in scene.talkers)
    both = first.any(axis=1) & second.any(axis=1)
    (a, b, _), (c, d, _) = first[both].T, second[both].T
    apart = a * d - b * c  # positive where the second is to the left of the first
    near = np.sum(first[both] * second[both], axis=1) > 0.5
    assert np.any(np.diff(np.sign(apart[near])) != 0)  # who is to the left has changed


def test_measured_rooms_cannot_be_walked_in(speech, tmp_path):
    mixer = SceneMixer([room_of(around(0))], speech, settings=QUIET)
    mixer.rooms = RoomBank(tmp_path, {"sofa": "x"}, [])
    with pytest.raises(InputError, match=r"need a bank of simulated rooms.*with measured ones"):
        draw_walk(mixer, (0,), settings=MovingSettings())


def test_a_path_in_a_room_without_space_is_refused():
    small = RoomSettings(size_min=(2.2, 2.2, 2.4), size_max=(2.4, 2.4, 2.5), dry_share=1.0)
    with pytest.raises(ValueError, match=r"1\.3 metres from the walls, in 100 draws"):
        draw_path_room((0,), settings=small, clearance=1.3)


def test_levels_are_measured_in_stretches():
    ones = np.ones((100_000, 4), np.float32)
    ones[:1_000] = 3.0
    assert power_in(lambda start, stop: ones[start:stop], [(0, 1_000)]) == pytest.approx(9.0)
    found = power_in(lambda start, stop: ones[start:stop], [(500, 1_000), (2_000, 2_500)])
    assert found == pytest.approx(5.0)
    assert STEP == 1_600
