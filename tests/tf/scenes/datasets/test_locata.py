"""LOCATA's Eigenmike as it is published: capsules, tables of positions, voice activity."""

import logging

import numpy as np
import pytest
import soundfile

from doa_core.angles import angles_to_vector, rotation_matrix, vector_to_angles
from doa_core.errors import InputError
from doa_edge.input.format import InputFormat
from doa_tf.data.recorded import RecordedScenes
from doa_tf.evaluation.talkers.judge import evaluate_talkers
from doa_tf.microphones.rigid_sphere import rigid_sphere_responses, sphere_layout
from doa_tf.scenes.folder import read_scenes, write_scenes
from tests.tf.scenes.datasets.made import IntensityNetwork

soxr = pytest.importorskip("soxr")
signal = pytest.importorskip("scipy.signal")

RATE, SECONDS = 48_000, 3.0
RADIUS_M = 0.042
CLOCK = ["year", "month", "day", "hour", "minute", "second"]
TURNED = rotation_matrix(*np.radians([35.0, 10.0, -5.0]))  # of the array in the room
ARRAY_M = np.array([1.0, 2.0, 1.5])
# In the array's own axes: y is ahead and x to the right.
OWN_TO_OURS = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def table(path, names, rows):
    lines = ["\t".join(names), *("\t".join(f"{value:.9g}" for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def moments(times_s):
    """Rows of the clock: midnight passes after a second."""
    rows = []
    for time_s in times_s:
        late = time_s >= 1.0
        clock = (0, 0, time_s - 1.0) if late else (23, 59, 59.0 + time_s)
        rows.append([2017, 2, 1, *clock] if late else [2017, 1, 31, *clock])
    return np.array(rows, dtype=float)


def pose(times_s, places_m, rotations, *more):
    flat = rotations.reshape(len(rotations), 9)
    return np.hstack([moments(times_s), places_m, np.zeros((len(places_m), 3)), flat, *more])


POSE = ["x", "y", "z", *(f"ref_vec_{a}" for a in "xyz")]
POSE += [f"rotation_{i}{j}" for i in "123" for j in "123"]


def make(
    folder, *, azimuth_deg=-40.0, elevation_deg=20.0, heard_deg=0.0, part="dev/task1/recording1"
):
    """A loudspeaker at an azimuth of LOCATA, two metres away, that speaks from 0.5 to 2.5 s.

    `heard_deg` turns what is heard, and leaves the tables as they are.
    """
    recording = folder / part / "eigenmike"
    recording.mkdir(parents=True)
    ours = angles_to_vector(*np.radians([azimuth_deg, elevation_deg]))
    turned = angles_to_vector(*np.radians([azimuth_deg + heard_deg, elevation_deg]))
    capsules = sphere_layout(32)  # in our axes
    responses = rigid_sphere_responses(turned[np.newaxis], capsules=capsules, radius=RADIUS_M)[0]
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(16_000 * SECONDS))
    noise[:8_000] = noise[40_000:] = 0.0
    heard = signal.fftconvolve(noise[:, np.newaxis], responses.T, axes=0)[128 : 128 + len(noise)]
    samples = soxr.resample(heard, 16_000, RATE)
    soundfile.write(recording / "audio_array_eigenmike.wav", samples, RATE, subtype="PCM_24")
    table(recording / "audio_array_timestamps_eigenmike.txt", CLOCK, moments([0.0, 1.0 / RATE]))
    times_s = np.arange(-0.004, SECONDS, 0.05)
    rotations = np.repeat(TURNED[np.newaxis], len(times_s), axis=0)
    mics = ARRAY_M + RADIUS_M * capsules @ OWN_TO_OURS @ TURNED.T
    mics = np.repeat(mics.reshape(1, -1), len(times_s), axis=0)
    places = np.repeat(ARRAY_M[np.newaxis], len(times_s), axis=0)
    names = [f"mic{n}_{axis}" for n in range(1, 33) for axis in "xyz"]
    rows = pose(times_s, places, rotations, mics)
    table(recording / "position_array_eigenmike.txt", CLOCK + POSE + names, rows)
    source = ARRAY_M + 2.0 * TURNED @ OWN_TO_OURS.T @ ours
    rows = pose(times_s, np.repeat(source[np.newaxis], len(times_s), axis=0), rotations)
    table(recording / "position_source_loudspeaker1.txt", CLOCK + POSE, rows)
    active = np.zeros(len(samples))
    active[RATE // 2 : RATE * 5 // 2] = 1.0
    table(recording / "VAD_eigenmike_loudspeaker1.txt", ["VAD"], active[:, np.newaxis])
    return recording


def test_directions_are_those_of_locata(tmp_path):
    recording = make(tmp_path)
    (scene,) = read_scenes(tmp_path)
    assert scene.file == "dev/task1/recording1/eigenmike/audio_array_eigenmike.wav"
    assert scene.columns == {"talker": "", "task": "task1", "recording": "recording1"}
    (talker,) = scene.talkers
    (stretch,) = talker.stretches
    assert talker.name == "loudspeaker1"
    assert (stretch.start_s, stretch.end_s) == (0.5, 2.5)
    assert (stretch.azimuth_deg, stretch.elevation_deg) == (-40.0, 20.0)
    # By the formulas of its own program: v = R^T (h - p), azimuth from the y axis.
    first = np.loadtxt(recording / "position_source_loudspeaker1.txt", skiprows=1)[0]
    own = TURNED.T @ (first[6:9] - ARRAY_M)
    assert np.degrees(np.arctan2(own[1], own[0]) - np.pi / 2) == pytest.approx(-40.0)
    assert 90.0 - np.degrees(np.arccos(own[2] / 2.0)) == pytest.approx(20.0)
    assert read_scenes(tmp_path / "dev")[0].columns == scene.columns  # a part of it as well
    turned = read_scenes(tmp_path, clockwise=True)[0].talkers[0].stretches[0]
    assert turned.azimuth_deg == 40.0


def test_capsules_become_ambix(tmp_path):
    make(tmp_path)
    (scene,) = read_scenes(tmp_path)
    ambix = scene.read()
    assert ambix.shape == (round(16_000 * SECONDS), 4)
    assert ambix.dtype == np.float32
    np.testing.assert_array_equal(ambix, np.concatenate(list(scene.blocks())))
    assert scene.samples() == len(ambix)
    voiced = ambix[12_000:36_000]
    low = signal.butter(4, [1000.0, 4000.0], "band", fs=16_000, output="sos")
    band = signal.sosfilt(low, voiced, axis=0)
    intensity = band[:, [0]].T @ band[:, [3, 1, 2]]
    assert np.degrees(vector_to_angles(intensity[0])) == pytest.approx([-40.0, 20.0], abs=0.5)
    # SN3D: the dipoles together are as loud as W.
    assert np.linalg.norm(band[:, 1:]) / np.linalg.norm(band[:, 0]) == pytest.approx(1.0, abs=0.1)
    # It is heard when it is labelled, and no other time.
    energy = np.square(ambix[:, 0]).reshape(30, -1).mean(axis=1)
    assert energy[:5].max() < 1e-3 * energy[6:24].min()
    assert energy[26:].max() < 1e-3 * energy[6:24].min()


def test_labels_agree_with_what_is_heard(tmp_path):
    make(tmp_path / "right")
    make(tmp_path / "turned", heard_deg=90.0)
    model = IntensityNetwork()
    right = evaluate_talkers(model, read_scenes(tmp_path / "right")).to_dict()["all"]["recordings"]
    assert right["recall"] > 80.0
    assert right["median_deg"] < 4.0
    turned = evaluate_talkers(model, read_scenes(tmp_path / "turned")).to_dict()["all"][
        "recordings"
    ]
    assert turned["recall"] == 0.0
    assert turned["wrong"] > 90.0


def test_windows_for_a_training(tmp_path):
    make(tmp_path)
    recorded = RecordedScenes(tmp_path)
    window = recorded.mix((0, 0, 1))
    (scene,) = read_scenes(tmp_path)
    assert len(recorded) == 3
    np.testing.assert_array_equal(window.waveform, scene.read()[13_312 : 2 * 13_312])


def test_who_walks_and_who_is_not_marked(tmp_path):
    recording = make(tmp_path)
    (recording / "VAD_eigenmike_loudspeaker1.txt").unlink()
    path = recording / "position_source_loudspeaker1.txt"
    rows = np.loadtxt(path, skiprows=1)
    angles = np.radians(np.linspace(0.0, 30.0, len(rows)))
    own = 2.0 * np.stack([-np.sin(angles), np.cos(angles), 0.0 * angles], axis=1)
    rows[:, 6:9] = ARRAY_M + own @ TURNED.T
    rows[7, 6:9] = np.nan  # lost by the cameras for a moment
    table(path, CLOCK + POSE, rows)
    (scene,) = read_scenes(tmp_path)
    stretches = scene.talkers[0].stretches
    assert len(stretches) == 30  # all through
    assert stretches[15].azimuth_deg == pytest.approx(30.0 * 1.554 / 3.0, abs=0.06)
    assert {stretch.elevation_deg for stretch in stretches} == {0.0}


def test_activity_by_the_clock_of_the_source(tmp_path):
    recording = make(tmp_path)
    (recording / "VAD_eigenmike_loudspeaker1.txt").unlink()
    # A second of sound that begins 0.8 s behind the array's.
    soundfile.write(recording / "audio_source_loudspeaker1.wav", np.zeros(8000), 8000)
    table(recording / "audio_source_timestamps_loudspeaker1.txt", CLOCK, moments([0.8]))
    active = np.repeat([[1.0], [0.0]], 4000, axis=0)
    table(recording / "VAD_source_loudspeaker1.txt", ["VAD"], active)
    (scene,) = read_scenes(tmp_path)
    (stretch,) = scene.talkers[0].stretches
    assert (stretch.start_s, stretch.end_s) == (0.8, 1.3)


def test_bad_sets(tmp_path, caplog):
    recording = make(tmp_path)
    with pytest.raises(InputError, match="32 capsules are encoded here: leave --format and"):
        read_scenes(tmp_path, InputFormat(audio_format="ambix"))
    array, source = (recording / f"position_{name}.txt" for name in ("array_eigenmike", "source_x"))
    text = array.read_text()
    array.write_text(text.replace("mic32_z", "mic33_z"))
    with pytest.raises(InputError, match="must have the column mic32_z"):
        read_scenes(tmp_path)
    array.write_text(text.replace("second", "seconds"))
    with pytest.raises(InputError, match="must have the column second"):
        read_scenes(tmp_path)
    array.write_text(text.replace("\t", ";"))
    with pytest.raises(
        InputError, match=r"position_array_eigenmike\.txt must be a table of LOCATA"
    ):
        read_scenes(tmp_path)
    array.write_text(text)
    source.write_text("\t".join(CLOCK + POSE) + "\n")
    with pytest.raises(InputError, match=r"must hold rows of 21 numbers, .* Received: 0 rows"):
        read_scenes(tmp_path)
    source.unlink()
    wav = recording / "audio_array_eigenmike.wav"
    soundfile.write(wav, np.zeros((RATE, 4)), RATE)
    (scene,) = read_scenes(tmp_path)
    with pytest.raises(InputError, match=r"32 channels, one a capsule\. Received: .* with 4"):
        scene.read()
    make(tmp_path, part="eval/task1/recording2")
    for path in recording.glob("position_source_*.txt"):
        path.unlink()
    with caplog.at_level(logging.WARNING):
        assert len(read_scenes(tmp_path)) == 1
    assert "1 of 2 recordings have no positions of sources and are left out" in caplog.text
    with pytest.raises(InputError, match=r"must hold tables position_source_NAME\.txt"):
        read_scenes(tmp_path / "dev")


def test_what_locata_torch_reads(tmp_path):
    """A second opinion: the angles of another reader of these tables."""
    locata_torch = pytest.importorskip("locata_torch")
    recording = make(tmp_path)
    rows = np.loadtxt(recording / "position_array_eigenmike.txt", skiprows=1)[:, :6]
    names = [*CLOCK, "valid_flag"]
    table(recording / "required_time.txt", names, np.hstack([rows, np.ones((len(rows), 1))]))
    samples = round(RATE * SECONDS)
    path = recording / "audio_array_timestamps_eigenmike.txt"
    table(path, CLOCK, moments(np.arange(samples) / RATE))
    sample = locata_torch.LocataDataset(tmp_path, arrays=["eigenmike"])[0]
    pose = sample["sources"]["loudspeaker1"]["pose"]
    doa = locata_torch.locata_doa(sample["array_pose"], pose)
    (stretch,) = read_scenes(tmp_path)[0].talkers[0].stretches
    azimuths_deg = np.degrees(doa["azimuth"].numpy())
    elevations_deg = 90.0 - np.degrees(doa["inclination"].numpy())
    np.testing.assert_allclose(azimuths_deg, stretch.azimuth_deg, atol=0.05)
    np.testing.assert_allclose(elevations_deg, stretch.elevation_deg, atol=0.05)


def test_a_set_can_be_copied_to_labels(tmp_path):
    """What is read can be written as a folder with labels.csv, as AmbiX."""
    make(tmp_path / "locata")
    (scene,) = read_scenes(tmp_path / "locata")
    (stretch,) = scene.talkers[0].stretches
    rows = {"talker": "a", "start_s": stretch.start_s, "end_s": stretch.end_s}
    rows |= {"azimuth_deg": stretch.azimuth_deg, "elevation_deg": stretch.elevation_deg}
    write_scenes(tmp_path / "own", [("one", scene.read(), rows)])
    (own,) = read_scenes(tmp_path / "own")
    assert own.talkers[0].stretches == scene.talkers[0].stretches
    np.testing.assert_array_equal(own.read(), scene.read())
