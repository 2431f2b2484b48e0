"""Recordings: every format and rate gives the same sound; bad files are refused."""

import struct

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_edge.input.audio import FileSource, read_blocks, read_recording
from doa_edge.input.containers.recording import open_sound
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


@pytest.mark.parametrize("kind", ["wav", "rf64", "w64", "aiff", "caf", "au"])
def test_truncated_file_is_heard_as_far_as_it_goes(tmp_path, plane_wave, caplog, kind):
    path = tmp_path / f"cut.{kind}"
    soundfile.write(path, plane_wave(0.0, 0.0), 16_000, format=kind.upper(), subtype="PCM_16")
    whole = read_recording(path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(whole_frames(whole, kind)) + 8 * 19_000])
    assert np.array_equal(read_recording(path), whole[:19_000])
    assert np.array_equal(read_recording(path), whole[:19_000])
    (line,) = caplog.messages  # once, though it was read twice
    assert f"{path} is cut short, or its header counts too much" in line
    assert "promises 19200 samples per channel. Received: 19000, which are heard" in line


def whole_frames(samples, kind):
    """The sound as the bytes of a file of 16 bits."""
    order = ">" if kind in ("aiff", "caf", "au") else "<"
    return np.round(samples[:50] * 32_768).astype(f"{order}i2").tobytes()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.95])
def test_truncated_flac_is_heard_as_far_as_it_goes(write_wave, caplog, share):
    path = write_wave(name="cut.flac", subtype="PCM_16")
    whole = read_recording(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    heard = read_recording(path)
    # A frame of FLAC is of 4096 samples, and the last may be incomplete.
    assert share * len(whole) - 2 * 4096 <= len(heard) <= share * len(whole)
    assert np.array_equal(heard, whole[: len(heard)])
    assert "cut short or damaged after" in caplog.text


def test_flac_without_a_whole_frame_is_refused(write_wave):
    path = write_wave(name="cut.flac", subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(InputError, match=r"cut short or damaged after 0\.000 s"):
        read_recording(path)


def _with_flac_length(path, samples):
    """Write another number of samples, the 36 bits from bit 108 of STREAMINFO on."""
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = samples.to_bytes(4, "big")
    path.write_bytes(data)


def test_flac_of_unknown_length_is_heard_whole(write_wave, caplog):
    path = write_wave(name="unknown.flac", subtype="PCM_16")
    whole = read_recording(path)
    _with_flac_length(path, 0)
    assert FileSource(path).frames is None
    assert np.array_equal(read_recording(path), whole)
    assert not caplog.messages


def test_flac_that_counts_too_much_is_heard_whole(write_wave, caplog):
    path = write_wave(name="much.flac", subtype="PCM_16")
    whole = read_recording(path)
    _with_flac_length(path, 2**32 - 1)
    assert np.array_equal(read_recording(path), whole)
    assert "promises 4294967295 samples per channel. Received: 19200" in caplog.text


def test_ogg_without_its_last_page_is_told(write_wave, caplog):
    path = write_wave(name="cut.ogg")
    whole = read_recording(path)
    assert not caplog.messages
    path.write_bytes(path.read_bytes()[:-3000])
    heard = read_recording(path)
    assert 0 < len(heard) < len(whole)
    assert "cut short: its last page is missing" in caplog.text


def test_mp3_without_a_length_is_heard_whole(tmp_path, plane_wave):
    path = tmp_path / "mono.mp3"
    soundfile.write(path, plane_wave(0.0, 0.0, seconds=3.0)[:, 0], 16_000)
    data = path.read_bytes()
    with open_sound(path) as sound:
        whole = np.concatenate(list(sound.blocks()))
        assert sound.frames == len(whole) == 48_000
    second = data.index(data[:2], 4)  # the first frame holds no sound, but the length
    path.write_bytes(data[second:])
    with open_sound(path) as sound:
        heard = np.concatenate(list(sound.blocks()))
        assert sound.frames is None
    # With the samples that the encoder added, which the first frame tells to leave out.
    assert 48_000 <= len(heard) <= 48_000 + 3 * 1152
    lag = int(np.argmax(np.correlate(heard[:8_000, 0], whole[1_000:5_000, 0]))) - 1_000
    assert np.corrcoef(heard[lag + 1_000 : lag + 40_000, 0], whole[1_000:40_000, 0])[0, 1] > 0.99


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


@pytest.mark.parametrize(("scale", "told"), [(1.0, 0), (30.0, 0), (32_767.0, 1)])
def test_integers_kept_as_floats_are_told_once(tmp_path, plane_wave, caplog, scale, told):
    """Loud floats are loud; samples up to +-32767 are of another scale, and keep their values."""
    sound = plane_wave(40.0, 20.0)
    sound *= np.float32(scale) / np.abs(sound).max()
    path = tmp_path / "scaled.wav"
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    for _ in range(2):
        assert np.array_equal(read_recording(path), sound)
    line = (
        f"{path} holds samples above 100, where full scale is 1: they look like integers kept as "
        "floats. Levels, the gate and sound that is kept are wrong; divide the samples by 32768"
    )
    assert caplog.messages == [line] * told
