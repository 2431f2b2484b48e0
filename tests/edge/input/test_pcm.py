"""Pipes: the same sound as from a file, whatever the encoding and however the bytes come."""

import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_edge.input.audio import read_recording
from doa_edge.input.format import InputFormat
from doa_edge.input.pcm import PcmFormat, decode_pcm
from doa_edge.input.pipe import PipeSource
from doa_edge.input.sources import open_source

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

SUBTYPES = {"s16le": "PCM_16", "s24le": "PCM_24", "s32le": "PCM_32", "f32le": "FLOAT"}


@pytest.fixture
def pipe():
    """Make a pipe that somebody writes bytes into, in pieces, and return its reading end."""
    opened, threads = [], []

    def make(data, *, pieces=(1 << 20,)):
        reading, writing = os.pipe()
        opened.append(reading)

        def write():
            start, turn = 0, 0
            with os.fdopen(writing, "wb", buffering=0) as file:
                while start < len(data):
                    size = pieces[turn % len(pieces)]
                    file.write(data[start : start + size])
                    start, turn = start + size, turn + 1

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        threads.append(thread)
        return reading

    yield make
    for descriptor in opened:
        os.close(descriptor)  # a writer that still waits gets a broken pipe
    for thread in threads:
        thread.join(60.0)


def listen(source):
    with source:
        return np.concatenate([block for block in source if len(block)])


def raw_bytes(path):
    """The sound of a WAV file without its header."""
    data = path.read_bytes()
    start = data.index(b"data") + 8
    return data[start : start + struct.unpack("<I", data[start - 4 : start])[0]]


@pytest.mark.parametrize("encoding", SUBTYPES)
@pytest.mark.parametrize("header", [True, False])
def test_a_pipe_is_the_file_bit_for_bit(write_wave, pipe, encoding, header):
    path = write_wave(subtype=SUBTYPES[encoding])
    raw = None if header else PcmFormat(rate=16_000, channels=4, encoding=encoding)
    data = path.read_bytes() if header else raw_bytes(path)
    source = PipeSource(pipe(data, pieces=(7, 1000, 33_333)), raw=raw)
    assert np.array_equal(listen(source), read_recording(path))
    assert source.sample_rate == 16_000


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_resampled_pipe_is_the_resampled_file_bit_for_bit(write_wave, pipe, rate):
    path = write_wave(rate=rate, subtype="PCM_16", audio_format="fuma")
    mount = (0.3, -0.2, 3.0)
    piped = listen(
        PipeSource(
            pipe(path.read_bytes(), pieces=(100, 9_999)),
            InputFormat(audio_format="fuma", mount=mount),
        )
    )
    assert np.array_equal(
        piped, read_recording(path, InputFormat(audio_format="fuma", mount=mount))
    )


def test_integers_are_scaled_to_one():
    full = {"s16le": b"\x00\x80", "s24le": b"\x00\x00\x80", "s32le": b"\x00\x00\x00\x80"}
    for encoding, lowest in full.items():
        assert decode_pcm(lowest * 4, encoding=encoding, channels=4).tolist() == [[-1.0] * 4]
    assert decode_pcm(b"\x01\x00\x00", encoding="s24le", channels=1)[0, 0] == 2.0**-23


def test_channels_are_picked_in_the_order_asked_for(pipe, plane_wave):
    wave = plane_wave(30.0, 10.0)
    six = np.zeros((len(wave), 6), np.float32)
    six[:, [5, 1, 2, 4]] = wave
    source = PipeSource(
        pipe(six.tobytes()),
        InputFormat(channel_map=(6, 2, 3, 5)),
        raw=PcmFormat(rate=16_000, channels=6, encoding="f32le"),
    )
    assert np.array_equal(listen(source), wave)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_header_without_a_length_is_read_to_the_end(write_wave, pipe, size):
    path = write_wave(subtype="PCM_16")
    data = bytearray(path.read_bytes())
    start = data.index(b"data") + 4
    data[start : start + 4] = struct.pack("<I", size)
    assert np.array_equal(listen(PipeSource(pipe(bytes(data)))), read_recording(path))


def test_chunks_behind_the_sound_are_no_sound(write_wave, pipe):
    path = write_wave(subtype="PCM_16")
    data = path.read_bytes() + b"LIST\x04\x00\x00\x00abcd"
    assert np.array_equal(listen(PipeSource(pipe(data))), read_recording(path))


def test_cut_header_is_refused_and_cut_sound_heard(write_wave, pipe, caplog):
    path = write_wave(subtype="PCM_16")
    data = path.read_bytes()
    with pytest.raises(InputError, match="cut short inside its WAV header"):
        listen(PipeSource(pipe(data[:30])))
    heard = listen(PipeSource(pipe(data[:-100])))
    assert np.array_equal(heard, read_recording(path)[: len(heard)])
    (line,) = caplog.messages
    assert f"promises 19200 samples per channel. Received: {len(heard)}, which are heard" in line


def test_raw_stream_that_ends_inside_a_sample_is_told(pipe, caplog):
    raw = PcmFormat(rate=16_000, channels=4, encoding="s16le")
    heard = listen(PipeSource(pipe(bytes(8 * 100 + 3)), raw=raw))
    assert len(heard) == 100
    assert "3 bytes dropped" in caplog.text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "must hold sound. Received: standard input with 0 bytes"),
        (
            b"fLaC\0\0\0\x22" + bytes(100),
            "begin with the header of a WAV, AIFF, CAF or AU file, or be described by --encoding",
        ),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(100), "begin with the header of a WAV"),
        (b"RIFF\0\0\0\0WAVELIST\xff\xff\xff\x7f", "cut short inside its WAV header"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0" + bytes(80), "no format"),
    ],
)
def test_what_is_no_sound_is_refused(pipe, data, message):
    with pytest.raises(InputError, match=message):
        listen(PipeSource(pipe(data)))


def test_options_that_contradict_the_header_are_refused(write_wave, pipe):
    path = write_wave(subtype="PCM_16", rate=48_000)
    raw = PcmFormat(rate=16_000, channels=4, encoding="s16le")
    with pytest.raises(InputError, match=r"rate=48000.*in the header and rate=16000"):
        listen(PipeSource(pipe(path.read_bytes()), raw=raw))


def test_nan_in_a_pipe_is_refused_with_its_place(pipe, plane_wave):
    wave = plane_wave(0.0, 0.0)
    wave[8_000, 1] = np.nan
    raw = PcmFormat(rate=16_000, channels=4, encoding="f32le")
    with pytest.raises(InputError, match=r"nan in channel 2 of standard input at 0\.5000 s"):
        listen(PipeSource(pipe(wave.tobytes()), raw=raw))


def test_silent_pipe_gives_empty_blocks_and_no_more():
    reading, writing = os.pipe()
    try:
        source = PipeSource(reading, raw=PcmFormat(rate=16_000, channels=4, encoding="s16le"))
        blocks = iter(source)
        assert [next(blocks).shape for _ in range(2)] == [(0, 4), (0, 4)]
        os.write(writing, bytes(8 * 160))
        assert next(blocks).shape == (160, 4)
    finally:
        os.close(writing)
        os.close(reading)


def test_named_pipe_is_a_pipe(tmp_path, write_wave):
    path = write_wave(subtype="PCM_16")
    fifo = tmp_path / "sound"
    os.mkfifo(fifo)
    threading.Thread(target=lambda: fifo.write_bytes(path.read_bytes()), daemon=True).start()
    assert np.array_equal(listen(open_source(input=fifo)), read_recording(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input": "-", "rate": 16_000}, "needs both `encoding` and `rate`"),
        ({"input": "-", "encoding": "s16le"}, "needs both `encoding` and `rate`"),
        ({"input": "-", "encoding": "mp3", "rate": 16_000}, "`encoding` must be one of s16le"),
        ({"input": "-", "encoding": "s16le", "rate": 100}, "8000 to 192000 Hz"),
        (
            {"input": "-", "encoding": "s16le", "rate": 16_000, "raw_channels": 2},
            "must hold 4 channels .* with 2 channels",
        ),
        ({"input": "a.wav", "device": "1"}, "exclude each other"),
        ({"input": "a.wav", "encoding": "s16le"}, "describe raw PCM"),
        ({"input": "a.wav", "rate": 16_000}, "`rate` is for raw PCM and devices"),
        ({"device": "1", "raw_channels": 6}, "describe raw PCM"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(pipe, monkeypatch, arguments, message):
    with open(pipe(b""), closefd=False) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(ValueError, match=message):
            open_source(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"audio_format": "mp3"}, "`format` must be one of ambix"),
        ({"channel_map": (1, 2, 3)}, "4 different numbers from 1 on. Received: channels=1,2,3"),
        ({"channel_map": (0, 1, 2, 3)}, "4 different numbers"),
        ({"channel_map": (1, 2, 3, 3)}, "4 different numbers"),
        ({"mount": (0.0, 1.0)}, "three finite angles"),
    ],
)
def test_a_format_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        InputFormat(**arguments)


def command_line(*arguments, stdin):
    return subprocess.run(
        [sys.executable, "-m", "doa_edge", "run", *arguments],
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_prints_the_same_for_a_pipe_and_a_file(write_wave, tiny_tflite):
    path = write_wave(40.0, 20.0, subtype="PCM_16", rate=48_000)
    model = ("--model", str(tiny_tflite))
    from_file = command_line(*model, "--input", str(path), stdin=subprocess.DEVNULL)
    assert from_file.returncode == 0
    assert from_file.stdout.count("\n") == 3
    with path.open("rb") as file:
        from_pipe = command_line(*model, "--input", "-", stdin=file)
    assert (from_pipe.returncode, from_pipe.stderr) == (0, "")
    assert from_pipe.stdout == from_file.stdout


def test_a_terminal_is_no_stream(tiny_tflite):
    primary, secondary = os.openpty()
    try:
        done = command_line("--model", str(tiny_tflite), "--input", "-", stdin=secondary)
    finally:
        os.close(primary)
        os.close(secondary)
    assert done.returncode == 2
    assert "Received: a terminal" in done.stderr
