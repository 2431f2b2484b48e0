"""What `doctor` notices of a sound field, and what it cannot: physics first, then the command."""

import json

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave, from_ambix
from doa_core.stft import stft
from doa_edge.commands.main import main
from doa_edge.input.exchanges import swaps_that_explain
from doa_edge.input.format import InputFormat
from doa_edge.input.inspection import (
    coherence_matrix,
    inspect_channels,
    inspect_field,
)
from tests.edge.conftest import unit_vector

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

RATE = 16_000
DIRECTIONS = np.array(  # of a cube: no side is preferred
    [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
) / np.sqrt(3.0)


def field(*, seconds=3.0, seed=0, directions=DIRECTIONS):
    """(N, 4) AmbiX of independent noises, one from each direction."""
    rng = np.random.default_rng(seed)
    noises = 0.03 * rng.standard_normal((len(directions), round(seconds * RATE)))
    return encode_plane_wave(noises, np.asarray(directions)).sum(axis=0).astype(np.float32)


def room(azimuth_deg=30.0, elevation_deg=10.0, *, share=0.7):
    """A talker in a room: one direction with most of the energy, and some from everywhere."""
    talker = field(directions=[unit_vector(azimuth_deg, elevation_deg)], seed=1)
    return np.float32(share) * 3.0 * talker + np.float32(1.0 - share) * field()


def states(findings):
    return {finding.name: finding.state for finding in findings}


def advice(findings, name):
    return next(finding.advice for finding in findings if finding.name == name)


@pytest.mark.parametrize("sound", [field(), room(), room(-170.0, -40.0)])
def test_first_order_ambisonics_is_in_order(sound):
    assert set(states(inspect_channels(sound)).values()) == {"ok"}
    assert set(states(inspect_field(sound, sample_rate=RATE)).values()) == {"ok"}


def test_diffuse_field_has_a_third_of_the_energy_in_each_dipole_and_no_coherence():
    spectra = stft(field(seconds=20.0))
    energies = np.mean(np.abs(spectra) ** 2, axis=(0, 1))
    np.testing.assert_allclose(energies[1:] / energies[0], 1 / 3, rtol=0.05)
    np.testing.assert_allclose(coherence_matrix(spectra), np.eye(4), atol=0.05)


@pytest.mark.parametrize("sound", [field(), room()])
@pytest.mark.parametrize(
    ("audio_format", "hint"),
    [("fuma", "--format fuma"), ("n3d", "--format n3d"), ("tetrahedral", "--format tetrahedral")],
)
def test_another_format_read_as_ambix_is_noticed_and_named(sound, audio_format, hint):
    findings = inspect_field(from_ambix(sound, audio_format), sample_rate=RATE)
    assert states(findings)["format"] == "warning"
    assert hint in advice(findings, "format")
    converted = inspect_field(
        from_ambix(sound, audio_format),
        sample_rate=RATE,
        input_format=InputFormat(audio_format=audio_format),
    )
    assert states(converted)["format"] == "ok"


@pytest.mark.parametrize("channel", [2, 3, 4])
def test_w_on_another_channel_is_noticed_and_found(channel):
    swapped = field()
    swapped[:, [0, channel - 1]] = swapped[:, [channel - 1, 0]]
    findings = inspect_field(swapped, sample_rate=RATE)
    assert advice(findings, "format") == f"it can be: W on channel {channel} (see --channels)"


def test_swapped_dipoles_are_a_real_field_and_need_a_known_direction():
    """Sound alone cannot tell: a swap of X and Y mirrors the room, and mirrored rooms are real."""
    right = room(70.0, 10.0)
    swapped = right[:, [0, 3, 2, 1]]
    assert set(states(inspect_field(swapped, sample_rate=RATE)).values()) == {"ok"}
    expected = unit_vector(70.0, 10.0)
    assert states(inspect_field(right, sample_rate=RATE, expected=expected))["direction"] == "ok"
    findings = inspect_field(swapped, sample_rate=RATE, expected=expected)
    assert states(findings)["direction"] == "fault"
    assert "X is Y, Y is X" in advice(findings, "direction")


def test_inverted_dipole_is_found_with_a_known_direction():
    inverted = room(80.0, 0.0) * np.float32([1, -1, 1, 1])
    findings = inspect_field(inverted, sample_rate=RATE, expected=unit_vector(80.0, 0.0))
    assert "it would fit if Y is -Y" in advice(findings, "direction")


def test_direction_waits_until_the_format_is_right():
    fuma = from_ambix(room(80.0, 0.0), "fuma")
    findings = inspect_field(fuma, sample_rate=RATE, expected=unit_vector(80.0, 0.0))
    assert states(findings) == {"copies": "ok", "format": "warning"}


def test_swaps_are_the_simplest_that_fit():
    up, left = unit_vector(0.0, 90.0), unit_vector(90.0, 0.0)
    assert swaps_that_explain(left, left * -1.0)[0] == "Y is -Y"
    assert swaps_that_explain(up, left)[0] == "Y is Z, Z is Y"


def test_direction_is_not_told_of_sound_from_everywhere():
    findings = inspect_field(field(), sample_rate=RATE, expected=unit_vector(0.0, 0.0))
    assert "everywhere" in next(f.found for f in findings if f.name == "direction")


def test_dead_channel():
    sound = field()
    sound[:, 1] *= 1e-3
    findings = inspect_channels(sound)
    assert states(findings)["level"] == "fault"
    assert "channel 2 is dead" in advice(findings, "level")
    assert "cannot be judged" in inspect_field(sound, sample_rate=RATE)[0].found


def test_silence():
    for level, state in ((0.0, "fault"), (1e-5, "warning")):
        sound = np.float32(level / 0.08) * field()
        findings = inspect_channels(sound)
        assert states(findings)["level"] == state
        assert "silent" in advice(findings, "level")


def test_clipping_offset_and_nan():
    sound = field()
    assert states(inspect_channels(np.clip(30.0 * sound, -1.0, 1.0)))["clipping"] == "fault"
    offset = sound + np.float32([0.0, 0.02, 0.0, 0.0])
    findings = inspect_channels(offset)
    assert states(findings) == {
        "numbers": "ok",
        "level": "ok",
        "clipping": "ok",
        "offset": "warning",
    }
    sound[5, 2] = np.nan
    findings = inspect_channels(sound)
    assert states(findings)["numbers"] == "fault"
    assert "1 samples" in findings[0].found
    assert states(findings)["level"] == "ok"  # of the rest


@pytest.mark.parametrize("samples", [4_000, 8_000, 17_000])
def test_short_recordings_are_judged_too(samples):
    findings = inspect_field(field()[:samples], sample_rate=RATE)
    assert states(findings)["format"] == "ok"


def test_one_signal_on_two_channels_is_noticed():
    sound = field()
    sound[:, 3] = sound[:, 1]
    findings = inspect_field(sound, sample_rate=RATE)
    assert states(findings)["copies"] == "warning"
    assert "channels 2 and 4" in findings[0].found


@pytest.fixture
def recording(tmp_path):
    def write(samples, *, rate=RATE):
        path = tmp_path / "sound.wav"
        soundfile.write(path, samples, rate, subtype="PCM_16")
        return str(path)

    return write


def test_command_on_a_recording_in_order(recording, capsys):
    assert main(["doctor", "--input", recording(room()), "--json"]) == 0
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert {finding["state"] for finding in findings.values()} == {"ok"}
    assert set(findings) == {
        *("python", "packages", "model", "processor", "memory", "input"),
        *("numbers", "level", "clipping", "offset", "copies", "format"),
    }
    assert "run by " in findings["model"]["found"]


def test_command_converts_format_and_mounting_before_it_judges(recording, capsys):
    path = recording(from_ambix(room(60.0, 20.0), "fuma"))
    common = ["doctor", "--input", path, "--speaker", "-60,-20", "--format", "fuma"]
    assert main([*common, "--mount", "0,0,180"]) == 0
    capsys.readouterr()
    assert main(common) == 1
    assert "check --mount" in capsys.readouterr().out


def test_command_says_what_to_do_about_a_dead_channel(recording, capsys):
    samples = room()
    samples[:, 3] = 0.0
    assert main(["doctor", "--input", recording(samples)]) == 1
    output = capsys.readouterr().out
    assert "fault    level" in output
    assert "-> channel 4 is dead" in output


def test_command_reports_a_bad_model_and_goes_on(recording, tmp_path, capsys):
    model = tmp_path / "bad.tflite"
    model.write_bytes(b"no model" * 100)
    assert main(["doctor", "--input", recording(room()), "--model", str(model)]) == 1
    output = capsys.readouterr().out
    assert "fault    model" in output
    assert "ok       format" in output


def test_command_without_a_resampler_says_what_is_left(recording, monkeypatch, capsys):
    from importlib import util

    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "soxr" else found(name))
    assert main(["doctor", "--input", recording(room())]) == 0
    output = capsys.readouterr().out
    assert "warning  packages" in output
    assert "only sound at 16 kHz" in output


def test_command_reports_an_input_that_is_not_there(capsys):
    assert main(["doctor", "--input", "nothing.wav"]) == 1
    assert "Not found: nothing.wav" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "0"], "--seconds must lie between 0.5 and 600 seconds. Received: 0"),
        (["--speaker", "90"], "AZIMUTH,ELEVATION"),
        (["--speaker", "0,91"], "AZIMUTH,ELEVATION"),
    ],
)
def test_command_refuses_misuse(arguments, message, capsys):
    assert main(["doctor", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_profiles_are_listed_and_set_the_format(capsys, recording):
    assert main(["devices", "--profiles", "--json"]) == 0
    profiles = json.loads(capsys.readouterr().out)
    assert {profile["name"] for profile in profiles} >= {"ambeo-vr", "tetramic"}
    path = recording(from_ambix(room(), "tetrahedral"))
    assert main(["doctor", "--input", path, "--profile", "ambeo-vr"]) == 0
    assert "ok       format" in capsys.readouterr().out
    assert main(["run", "--input", path, "--profile", "unknown"]) == 2
    assert "must be one of ambeo-vr" in capsys.readouterr().err
    assert main(["run", "--input", path, "--profile", "ambeo-vr", "--format", "fuma"]) == 2
    assert "exclude each other" in capsys.readouterr().err
