"""What a beam gains, against closed forms: talkers who are plane waves in a diffuse field."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.angles import angles_to_vector
from doa_core.beam import beam_weights, noise_gain
from doa_core.errors import InputError
from experiments.quality import listening
from experiments.quality.listening import STEP, Meeting

pytest.importorskip("ai_edge_litert")
pytest.importorskip("threadpoolctl")
soundfile = pytest.importorskip("soundfile")

RATE = 16_000
DIFFUSE = 0.5  # power of a talker's diffuse field over that of their direct sound, in W


def vector(azimuth_deg):
    return angles_to_vector(np.radians(azimuth_deg), 0.0)


def meeting_of_two(azimuths_deg=(0.0, 100.0), *, steps=60, talks=((0, 60), (0, 60))):
    """Talkers of equal power, who talk in a range of steps each."""
    rng, images, directions = np.random.default_rng(0), [], np.zeros((steps, 2, 3))
    for number, (azimuth_deg, span) in enumerate(zip(azimuths_deg, talks, strict=True)):
        count = (span[1] - span[0]) * STEP
        direct = encode_plane_wave(rng.standard_normal(count), vector(azimuth_deg))
        field = rng.standard_normal((count, 4)) * np.sqrt(DIFFUSE / np.array([1, 3, 3, 3]))
        image = np.zeros((steps * STEP, 4), np.float32)
        image[span[0] * STEP : span[1] * STEP] = direct + field
        images.append(image)
        directions[slice(*span), number] = vector(azimuth_deg)
    return Meeting("meeting.wav", sum(images), np.array(images), directions)


class Nobody:
    """An engine that hears nobody."""

    def __init__(self, model, settings):
        assert settings.keep_audio

    def run(self, items):
        yield from ()


def test_gains_have_a_closed_form(monkeypatch):
    monkeypatch.setattr(listening, "DirectionEngine", Nobody)
    rows = listening.judge(meeting_of_two(), None)
    for row, look, null in zip(rows, (0.0, 100.0), (100.0, 0.0), strict=True):
        noise = DIFFUSE * noise_gain(beam_weights(vector(look), [vector(null)]))
        expected_db = 10.0 * np.log10((1.0 + noise) / noise)
        assert row["labels"]["gain_db"] == pytest.approx(expected_db, abs=0.1)  # 6 s of noise
        plain = beam_weights(vector(look))
        left = (plain @ [1.0, *vector(null)[[1, 2, 0]]]) ** 2 + DIFFUSE * noise_gain(plain)
        expected_db = 10.0 * np.log10((1.0 + DIFFUSE * noise_gain(plain)) / left)
        assert row["labels, no nulls"]["gain_db"] == pytest.approx(expected_db, abs=0.1)
        assert row["labels"]["heard"] == row["labels"]["kept"] == 1.0
        assert row["tracks"]["heard"] == 0.0
        assert row["tracks"]["gain_db"] is None


def test_only_the_time_counts_in_which_others_talk(monkeypatch):
    monkeypatch.setattr(listening, "DirectionEngine", Nobody)
    both = meeting_of_two(talks=((0, 40), (20, 60)))  # 2 s
    assert len(listening.judge(both, None)) == 2
    left = np.zeros((2, 2, 60 * STEP))
    left[0, :, 30 * STEP :] = 1.0
    first, second = listening.gains(both, left)
    assert first == {"gain_db": pytest.approx(0.0, abs=0.3), "heard": 0.5, "kept": 0.25}
    assert second == {"gain_db": None, "heard": 0.0, "kept": 0.0}
    apart = meeting_of_two(talks=((0, 34), (30, 60)))  # 0.4 s, too little
    assert listening.judge(apart, None) == []


def test_ids_belong_to_whom_they_are_near_most_often():
    meeting = meeting_of_two((0.0, 100.0), talks=((0, 60), (30, 60)))
    estimates = listening.labelled(meeting)
    assert listening.owners(estimates, meeting) == {1: 0, 2: 1}
    turned = meeting_of_two((30.0, 85.0), talks=((0, 60), (30, 60)))
    assert listening.owners(estimates, turned) == {2: 1}  # 15 degrees off; the other is 30 off
    late = meeting_of_two((0.0, 100.0), talks=((0, 60), (0, 10)))
    assert listening.owners(estimates, late) == {1: 0}  # where nobody talks is nobody


def test_a_meeting_is_read_with_its_images(tmp_path):
    meeting = meeting_of_two()
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / f"meeting_{name}.wav" for name in ("anna", "ben")]
    for path, image in zip(paths, meeting.images, strict=True):
        soundfile.write(path, image, RATE, subtype="FLOAT")
    scene = SimpleNamespace(
        file="meeting.wav",
        path=tmp_path / "meeting.wav",
        talkers=[SimpleNamespace(name="anna"), SimpleNamespace(name="ben")],
        read=lambda: meeting.sound,
        directions_at=lambda times_s: meeting.directions[(times_s * RATE / STEP).astype(int)],
    )
    read = listening.read_meeting(scene)
    np.testing.assert_array_equal(read.images, meeting.images)
    np.testing.assert_array_equal(read.directions, meeting.directions)
    np.testing.assert_array_equal(read.talks, np.ones((2, len(meeting.sound)), bool))
    soundfile.write(paths[1], meeting.images[1][:-1], RATE, subtype="FLOAT")
    with pytest.raises(InputError, match="An image must be as long as its scene"):
        listening.read_meeting(scene)


def test_the_table(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(listening, "DirectionEngine", Nobody)
    monkeypatch.setattr(listening, "TfliteModel", lambda path: None)
    monkeypatch.setattr(listening, "read_scenes", lambda folder: [meeting_of_two()])
    monkeypatch.setattr(listening, "read_meeting", lambda meeting: meeting)
    file = tmp_path / "gains.json"
    listening.main(["some.tflite", "--scenes", "meetings", "--json", str(file)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| steered by | meetings |"
    assert lines[2].endswith(", 100 % of the time |")
    assert lines[4] == "| tracks | nobody heard |"
    assert lines[-1] == "| talkers of meetings | 2 |"
    assert json.loads(file.read_text())["meetings"][0]["tracks"]["heard"] == 0.0
