"""Recordings: every format and rate gives the same sound; bad files are refused."""

import struct

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_edge.input.audio import FileSource, read_blocks, read_recording
from doa_edge.input.format import InputFormat

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


def test_float_wav_is_read_bit_for_bit(write_wave, plane_wave):
    path = write_wave(40.0, 20.0)
    assert np.array_equal(read_recording(path), plane_wave(40.0, 20.0))


@pytest.mark.parametrize("audio_format", ["ambix", "fuma", "n3d", "tetrahedral"])
def test_format_is_converted_to_ambix(write_wave, plane_wave, audio_format):
    path = write_wave(-120.0, -35.0, audio_format=audio_format)
    expected = plane_wave(-120.0, -35.0)
    # float32 through two 4 x 4 matrices
    np.testing.assert_allclose(
        read_recording(path, InputFormat(audio_format=audio_format)), expected, atol=1e-6
    )


def test_named_layout_is_used(write_wave, plane_wave):
    layout = "tetrahedral:fld-fru-blu-brd"
    path = write_wave(10.0, 50.0, audio_format=layout)
    np.testing.assert_allclose(
        read_recording(path, InputFormat(audio_format=layout)), plane_wave(10.0, 50.0), atol=1e-6
    )
    other = read_recording(path, InputFormat(audio_format="tetrahedral"))
    assert np.abs(other - plane_wave(10.0, 50.0)).max() > 0.01


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_resampled_blocks_join_to_the_recording(write_wave, rate):
    path = write_wave(30.0, 0.0, rate=rate, seconds=1.1)
    blocks = list(read_blocks(path))
    whole = read_recording(path)
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), whole)
    assert whole.dtype == np.float32
    # The length is kept to a sample: the resampler's delay does not shift the stream.
    assert abs(len(whole) - round(1.1 * rate) * 16_000 / rate) <= 1.0


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_resampled_tone_keeps_its_time_and_level(write_wave, rate):
    def tone(sample_rate):
        time = np.arange(sample_rate) / sample_rate
        return np.repeat(0.5 * np.sin(2 * np.pi * 1000.0 * time)[:, None], 4, axis=1)

    path = write_wave(rate=rate, samples=tone(rate).astype(np.float32))
    middle = slice(2_000, 14_000)  # away from the filter's edges
    np.testing.assert_allclose(read_recording(path)[middle], tone(16_000)[middle], atol=1e-4)


@pytest.mark.parametrize(("name", "subtype"), [("a.flac", "PCM_16"), ("a.aiff", "PCM_24")])
def test_other_containers_are_read(write_wave, plane_wave, name, subtype):
    path = write_wave(40.0, 20.0, name=name, subtype=subtype)
    np.testing.assert_allclose(
        read_recording(path), np.clip(plane_wave(40.0, 20.0), -1, 1), atol=2**-15
    )


def test_mount_needs_three_finite_angles():
    with pytest.raises(ValueError, match="three finite angles"):
        InputFormat(mount=(0.0, float("nan"), 0.0))


def _patched_data_size(path, size):
    data = bytearray(path.read_bytes())
    start = data.index(b"data") + 4
    data[start : start + 4] = struct.pack("<I", size)
    path.write_bytes(data)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000])
def test_header_of_a_stream_is_no_truncation(write_wave, size):
    path = write_wave(subtype="PCM_16")
    expected = read_recording(path)
    _patched_data_size(path, size)
    assert np.array_equal(read_recording(path), expected)


@pytest.mark.parametrize("kind", ["wav", "rf64", "aiff"])
def test_truncated_file_is_refused_before_reading(tmp_path, plane_wave, kind):
    path = tmp_path / f"cut.{'aiff' if kind == 'aiff' else 'wav'}"
    soundfile.write(path, plane_wave(0.0, 0.0), 16_000, format=kind.upper(), subtype="PCM_16")
    FileSource(path).close()
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"cut short: its header promises.*1000 too few"):
        FileSource(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_truncated_flac_is_refused(write_wave, share):
    path = write_wave(name="cut.flac", subtype="PCM_16")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="cut short"):
        read_recording(path)


@pytest.mark.parametrize(
    ("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (1e20, "1e\\+20")]
)
def test_sample_that_is_no_sound_is_refused_with_its_time(write_wave, plane_wave, value, shown):
    samples = plane_wave(0.0, 0.0)
    samples[8_000, 2] = value
    path = write_wave(samples=samples)
    with pytest.raises(InputError, match=f"Received: {shown} in channel 3 .* at 0.5000 s"):
        read_recording(path)


@pytest.mark.parametrize(
    ("rate", "allowed"), [(7_999, False), (8_000, True), (192_000, True), (192_001, False)]
)
def test_rate_has_limits(write_wave, rate, allowed):
    path = write_wave(rate=rate, seconds=0.1)
    if allowed:
        assert FileSource(path).sample_rate == rate
        return
    with pytest.raises(InputError, match=f"8000 to 192000 Hz. Received: .* {rate} Hz"):
        FileSource(path)


def test_a_raw_file_is_refused(tmp_path):
    path = tmp_path / "sound.raw"
    path.write_bytes(bytes(1000))
    with pytest.raises(InputError, match="sound file that libsndfile reads"):
        FileSource(path)
