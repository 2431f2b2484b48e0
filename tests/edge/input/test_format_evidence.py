"""What energies say against a format: every other one, of voices in rooms; and when they are silent."""

import json

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave, from_ambix
from doa_edge.commands.main import main
from doa_edge.input.audio import read_recording
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.format_evidence import FormatEvidence, watch_format
from doa_edge.input.stream import Gap
from tests.edge.conftest import unit_vector
from tests.places import PROJECT

soundfile = pytest.importorskip("soundfile")

RATE = 16_000
RECORDINGS = sorted((PROJECT / "demo" / "recordings").glob("*.wav"))
READ_AS = [InputFormat(audio_format=name) for name in ("ambix", "fuma", "n3d", "tetrahedral")]
READ_AS.append(InputFormat(audio_format="fuma", mount=(0.5, -0.3, 2.0)))


def noise(seconds=6.0, seed=0, channels=()):
    shape = (*channels, round(seconds * RATE))
    return (0.05 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


TALKERS = [unit_vector(*angles) for angles in ((30, 10), (-100, -20), (170, 40))]


def room(seconds=6.0):
    """Three who talk in turn, and as many weaker sounds all the time as a cube has corners."""
    corners = [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)] / np.sqrt(3.0)
    around = encode_plane_wave(noise(seconds, 1, (8,)), corners).sum(axis=0) / 8.0
    turns = [encode_plane_wave(noise(seconds / 3, 2 + k), u) for k, u in enumerate(TALKERS)]
    return np.concatenate(turns) + around


def read(sound, input_format):
    """(N, 4) channels of a file, as that format makes AmbiX of them."""
    return (sound @ input_format.to_ambix.T).astype(np.float32)


def contradiction(sound, input_format=AMBIX, size=4000):
    evidence = FormatEvidence(input_format, sample_rate=RATE)
    for start in range(0, len(sound), size):
        evidence.push(read(sound[start : start + size], input_format))
    return evidence.contradiction()


@pytest.mark.parametrize("input_format", READ_AS)
def test_sound_in_its_own_format_says_nothing(input_format):
    for sound in (room(), *map(read_recording, RECORDINGS)):
        given = from_ambix(sound, input_format.audio_format)
        assert contradiction(given, input_format) is None


@pytest.mark.parametrize(
    ("is_one", "read_as", "error_db"),
    [
        ("fuma", "ambix", 3.0),
        ("n3d", "ambix", 4.8),
        ("ambix", "fuma", -3.0),
        ("ambix", "n3d", -4.8),
        ("tetrahedral", "ambix", None),  # depends on where sound comes from
        ("ambix", "tetrahedral", None),
    ],
)
def test_another_format_is_noticed_and_named(is_one, read_as, error_db):
    for sound in (room(), *map(read_recording, RECORDINGS)):
        found = contradiction(from_ambix(sound, is_one), InputFormat(audio_format=read_as))
        layout = "[:LAYOUT]" if is_one == "tetrahedral" else ""
        assert f"--format {is_one}{layout}" in found.fits
        if error_db is not None:
            assert found.fits[0] == f"--format {is_one}"
            assert found.error_db == pytest.approx(error_db, abs=0.6)


def test_a_mount_hides_no_wrong_format():
    mounted = InputFormat(audio_format="fuma", mount=(0.5, -0.3, 2.0))
    assert contradiction(room(), mounted).fits == ("--format ambix",)


@pytest.mark.parametrize("channel", [2, 3, 4])
def test_w_on_another_channel_is_found(channel):
    swapped = room()
    swapped[:, [0, channel - 1]] = swapped[:, [channel - 1, 0]]
    assert f"W on channel {channel} (see --channels)" in contradiction(swapped).fits


def directions(count):
    vectors = np.random.default_rng(2).standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "sound",
    [
        encode_plane_wave(noise(), [0.0, 0.0, 1.0]),  # X and Y are silent
        encode_plane_wave(noise(), [1.0, 0.0, 0.0]),
        encode_plane_wave(noise(channels=(64,)), directions(64)).sum(axis=0),  # diffuse
        noise(channels=(4,)).T,  # of four microphones, by its energies N3D
        encode_plane_wave(noise(), [0.0, 0.0, 1.0]) + 0.3 * noise(seed=3, channels=(4,)).T,
        np.zeros((6 * RATE, 4)),
        np.full((6 * RATE, 4), 0.5),  # an offset
        from_ambix(1e-3 * room(), "fuma"),  # below the gate
        from_ambix(room(seconds=2.0), "fuma"),  # too short to say
        from_ambix(room(), "fuma") * [0.2, 1.0, 1.0, 1.0],  # no format at all
    ],
    ids=[
        "pole",
        "wave",
        "diffuse",
        "microphones",
        "hiss",
        "silence",
        "offset",
        "quiet",
        "short",
        "none",
    ],
)
def test_what_says_nothing(sound):
    assert contradiction(sound) is None


def test_what_is_known_to_be_ambix_says_nothing(shared_data):
    """Windows, too short to be judged alone, set by set; and meetings, each by itself."""
    for name in ("scenes", "scenes-real", "valid-real", "talkers"):
        together = {audio_format: [] for audio_format in ("ambix", "fuma")}
        paths = sorted([*(shared_data / name).glob("*.wav"), *(shared_data / name).glob("*.flac")])
        for path in paths[::3]:
            for audio_format, evidence in together.items():
                one = FormatEvidence(sample_rate=RATE)
                one.push(from_ambix(read_recording(path), audio_format))
                assert audio_format == "fuma" or one.contradiction() is None
                evidence.append(one)
        for audio_format, evidence in together.items():
            pooled = FormatEvidence(sample_rate=RATE)
            for one in evidence:
                pooled.add(one)
            assert (pooled.contradiction() is None) == (audio_format == "ambix")


@pytest.mark.parametrize("size", [160, 4000, 10**6])
def test_it_is_told_once_as_soon_as_it_is_sure_whatever_the_blocks(size):
    fuma = from_ambix(room(seconds=20.0), "fuma").astype(np.float32)
    blocks = [fuma[start : start + size] for start in range(0, len(fuma), size)]
    blocks.insert(1, Gap(samples=160, reason="lost"))
    told, passed = [], []
    for item in watch_format(blocks, AMBIX, told.append, sample_rate=RATE):
        passed.append(item)
        assert len(told) <= 1
        heard_s = sum(len(one) for one in passed if not isinstance(one, Gap)) / RATE
        assert heard_s < 10.0 or told
    assert all(one is other for one, other in zip(passed, blocks, strict=True))
    assert told == [
        "by its energies this is no ambix (+3.0 dB off), but can be --format fuma: "
        "directions are wrong then"
    ]


@pytest.mark.parametrize("summary", [[], ["--summary"]])
def test_run_says_it_on_stderr_once(tmp_path, capsys, summary):
    path = tmp_path / "office.wav"
    office = read_recording(PROJECT / "demo" / "recordings" / "office.wav")
    soundfile.write(path, from_ambix(office, "fuma"), RATE, subtype="FLOAT")
    assert main(["run", "--input", str(path), *summary]) == 0
    told = capsys.readouterr()
    assert told.err.count("by its energies this is no ambix") == 1
    assert told.err.startswith("doa_edge: office.wav: by its energies this is no ambix (+2.5 dB")
    assert "--format fuma" in told.err
    assert told.err.count("\n") == 1
    for line in told.out.splitlines():
        json.loads(line)
    assert main(["run", "--input", str(path), "--format", "fuma", *summary]) == 0
    assert capsys.readouterr().err == ""
