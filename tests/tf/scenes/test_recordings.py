"""Folders of recordings: what is read, what is left out, and what large ones leave on disk."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_tf.scenes import recordings
from doa_tf.scenes.recordings import Recordings, read_recordings


def tone(hertz, seconds, rate=SAMPLE_RATE):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def test_recordings_are_resampled_and_mixed_down_aloud(tmp_path, caplog):
    signal = tone(440, 1.0, 44_100)
    soundfile.write(tmp_path / "stereo.wav", np.stack([signal, signal], -1), 44_100)
    with caplog.at_level(logging.WARNING):
        (voice,) = read_recordings(tmp_path)
    assert len(voice) == 16_000
    assert voice.dtype == np.float32
    assert np.argmax(np.abs(np.fft.rfft(voice))) == 440  # one bin is 1 Hz
    assert "1 recordings" in caplog.text
    assert "averaged" in caplog.text


def test_trees_are_read_in_the_order_of_their_paths(tmp_path):
    """LibriSpeech's and VCTK's folders, and what lies in them beside the sound."""
    for path, hertz in (
        ("train-clean-100/19/198/19-198-0001.flac", 300),
        ("train-clean-100/19/198/19-198-0000.flac", 200),
        ("wav48_silence_trimmed/p225/p225_001_mic1.flac", 400),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / path, tone(hertz, 1.0), SAMPLE_RATE)
    (tmp_path / "train-clean-100/19/198/19-198.trans.txt").write_text("19-198-0000 HELLO")
    found = [np.argmax(np.abs(np.fft.rfft(voice))) for voice in read_recordings(tmp_path)]
    assert found == [200, 300, 400]


def test_short_and_silent_recordings_are_left_out_in_one_line(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", tone(300, 1.0), SAMPLE_RATE)
    for number in range(3):
        soundfile.write(tmp_path / f"short{number}.wav", np.ones(100) * 0.1, SAMPLE_RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(20_000), SAMPLE_RATE)
    with caplog.at_level(logging.WARNING):
        assert len(read_recordings(tmp_path)) == 1
    assert len(caplog.records) == 1
    assert "4 of 5 recordings" in caplog.text
    assert "short0.wav" in caplog.text or "silent.wav" in caplog.text


def test_folders_without_recordings_are_refused(tmp_path):
    with pytest.raises(InputError, match="which is not there"):
        read_recordings(tmp_path / "nowhere")
    with pytest.raises(InputError, match="Received: none"):
        read_recordings(tmp_path)
    soundfile.write(tmp_path / "silent.wav", np.zeros(20_000), SAMPLE_RATE)
    with pytest.raises(InputError, match="1 files, none usable"):
        read_recordings(tmp_path)
    with pytest.raises(InputError, match="which is a file"):
        read_recordings(tmp_path / "silent.wav")
    (tmp_path / "letter.wav").write_text("Dear Sir or Madam")
    with pytest.raises(InputError, match=r"letter\.wav can't be read"):
        read_recordings(tmp_path)


def test_numbers_that_are_none_are_refused(tmp_path):
    signal = tone(300, 1.0)
    signal[7] = np.nan
    soundfile.write(tmp_path / "odd.wav", signal, SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(InputError, match=r"odd\.wav.*no finite numbers"):
        read_recordings(tmp_path)


def test_parts_reach_into_silence_and_around():
    recordings = Recordings.from_signals([np.ones(5, np.float32), np.arange(1, 5) / 8.0])
    ramp = np.array([1, 2, 3, 4]) / 4  # scaled to its peak
    np.testing.assert_allclose(recordings.part(1, -2, 6), [0, 0, *ramp, 0, 0], atol=2e-5)
    np.testing.assert_allclose(recordings.part(1, 6, 9), [0, 0, 0])
    np.testing.assert_allclose(recordings.looped_part(1, 3, 6), ramp[[3, 0, 1, 2, 3, 0]], atol=2e-5)
    np.testing.assert_allclose(recordings[-1], ramp, atol=2e-5)
    assert [len(signal) for signal in recordings[:2]] == [5, 4]
    assert recordings.power[1] == pytest.approx(np.mean(ramp**2), rel=1e-3)


def test_large_folders_are_decoded_once_into_a_file(tmp_path, speech, monkeypatch):
    expected = read_recordings(speech)
    monkeypatch.setattr(recordings, "IN_MEMORY", 1000)
    cache = tmp_path / "cache"
    mapped = read_recordings(speech, cache=cache)
    assert isinstance(mapped.samples, np.memmap)
    np.testing.assert_array_equal(mapped.samples, expected.samples)
    np.testing.assert_array_equal(mapped.starts, expected.starts)
    np.testing.assert_allclose(mapped.power, expected.power)
    monkeypatch.setattr(recordings, "_decode", pytest.fail)
    np.testing.assert_array_equal(read_recordings(speech, cache=cache)[2], expected[2])


def test_a_changed_folder_is_decoded_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "IN_MEMORY", 1000)
    soundfile.write(tmp_path / "a.wav", tone(300, 1.0), SAMPLE_RATE)
    assert len(read_recordings(tmp_path, cache=tmp_path / "cache")) == 1
    soundfile.write(tmp_path / "b.wav", tone(400, 1.0), SAMPLE_RATE)
    assert len(read_recordings(tmp_path, cache=tmp_path / "cache")) == 2


def test_an_interrupted_decoding_leaves_nothing_that_looks_whole(tmp_path, speech, monkeypatch):
    monkeypatch.setattr(recordings, "IN_MEMORY", 1000)
    cache = tmp_path / "cache"

    def stop(done, _total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_recordings(speech, cache=cache, progress=stop)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("rate", [1, 4_000_000_000])
def test_a_rate_that_cannot_be_is_refused(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(300, 1.0), SAMPLE_RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.wav.* 1000 to 1000000 Hz .*{rate} Hz"):
        read_recordings(tmp_path, cache=tmp_path / "cache")


def test_what_lies_beside_speech_is_no_speech_or_is_named(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", tone(300, 1.0), SAMPLE_RATE)
    (tmp_path / "._a.wav").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    (tmp_path / "notes.txt").write_text("of the session")
    with caplog.at_level(logging.WARNING):
        assert len(read_recordings(tmp_path)) == 1
    assert not caplog.messages
    for name in ("b.m4a", "c.M4A", "d.wma"):
        (tmp_path / name).write_bytes(b"sound")
    with caplog.at_level(logging.WARNING):
        assert len(read_recordings(tmp_path)) == 1
    (line,) = caplog.messages
    assert line.startswith(f"3 files in {tmp_path} are sound that can't be read (.m4a, .wma)")
    assert "the first is" in line
    assert "ffmpeg -i b.m4a b.flac" in line


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
        ("a.oga", {"format": "OGG", "subtype": "VORBIS"}),
        ("a.aiff", {}),
        ("a.caf", {}),
        ("a.w64", {}),
        ("a.MP3", {}),
    ],
)
def test_all_that_libsndfile_reads_is_speech(tmp_path, name, options):
    soundfile.write(tmp_path / name, tone(440, 1.0), SAMPLE_RATE, **options)
    (voice,) = read_recordings(tmp_path)
    assert len(voice) == 16_000
    assert np.argmax(np.abs(np.fft.rfft(voice))) == 440


def test_lengths_that_headers_do_not_know_or_invent(tmp_path, caplog):
    """FLAC from a pipe, which says nothing, and one that says 2**36 samples."""
    for name, length in (("a.flac", 0), ("b.flac", 2**36 - 1)):
        soundfile.write(tmp_path / name, tone(440, 1.0), SAMPLE_RATE)
        data = bytearray((tmp_path / name).read_bytes())
        data[21] = data[21] & 0xF0 | length >> 32
        data[22:26] = (length & 0xFFFFFFFF).to_bytes(4, "big")
        (tmp_path / name).write_bytes(data)
    voices = read_recordings(tmp_path, cache=tmp_path / "cache")
    assert [voices.length(number) for number in range(2)] == [16_000, 16_000]
    assert [line.split(" is ")[1].split(",")[0] for line in caplog.messages] == ["cut short"]


# --- names, and places for a cache


def test_recordings_of_any_name_are_read(tmp_path):
    folder = tmp_path / os.fsdecode(b"B\xfcro")
    folder.mkdir()
    path = folder / os.fsdecode(b"\xe9l\xe8ve-1.flac")
    soundfile.write(os.fsencode(path), tone(300, 1.0), SAMPLE_RATE)
    (voice,) = read_recordings(folder)
    assert np.argmax(np.abs(np.fft.rfft(voice))) == 300


def test_speech_is_read_where_numba_has_no_place_for_its_cache(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(300, 1.0, 48_000), 48_000)
    program = (
        "import sys\nsys.modules['numba'] = None\n"
        "from doa_tf.scenes.recordings import read_recordings\n"
        f"print(len(read_recordings({str(tmp_path)!r})[0]))\n"
    )
    environment = {**os.environ, "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert (done.stdout, done.returncode) == ("16000\n", 0), done.stderr


@pytest.mark.parametrize("home", ["a file", "nobody"])
def test_a_cache_goes_to_the_temporary_files_where_home_cannot_be_written(
    home, tmp_path, speech, monkeypatch, caplog
):
    monkeypatch.setattr(recordings, "IN_MEMORY", 1000)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if home == "a file":
        (tmp_path / "home").touch()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
    else:  # docker run -u 12345: no entry in /etc/passwd
        monkeypatch.setattr(Path, "home", _no_home)
    mapped = read_recordings(speech)
    folder = tmp_path / f"doa_tf-{os.getuid()}"
    assert Path(mapped.samples.filename).parent == folder
    assert folder.stat().st_mode & 0o777 == 0o700  # others' voices are nobody's business
    warned = [f"The cache folder {tmp_path / 'home/.cache/doa_tf'} cannot be used: Not a directory"]
    assert [record.getMessage() for record in caplog.records] == (
        warned if home == "a file" else []
    )
    monkeypatch.setattr(recordings, "_decode", pytest.fail)
    assert len(read_recordings(speech)) == len(mapped)  # found again


def test_without_any_place_for_a_cache_the_error_says_what_to_set(tmp_path, speech, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(recordings, "IN_MEMORY", 1000)
    with pytest.raises(PermissionError, match="set XDG_CACHE_HOME to a folder"):
        read_recordings(speech, cache=tmp_path / "file")


def _no_home():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize(
    "index",
    [
        "{",
        "[]",
        '{"lengths": [10], "power": [1.0]}',
        '{"lengths": [1000000000000], "power": [1.0], "speakers": ["a"]}',
        '{"lengths": ["a"], "power": [1.0], "speakers": ["a"]}',
        '{"lengths": [-5], "power": [1.0], "speakers": ["a"]}',
    ],
)
def test_a_damaged_cache_is_named(tmp_path, speech, monkeypatch, index):
    monkeypatch.setattr(recordings, "IN_MEMORY", 1000)
    cache = tmp_path / "cache"
    read_recordings(speech, cache=cache)
    (stored,) = cache.glob("*.json")
    stored.write_text(index)
    with pytest.raises(InputError, match=r"delete it, and the samples are read anew"):
        read_recordings(speech, cache=cache)
