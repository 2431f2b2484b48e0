"""Headers of all kinds, true and untrue: a file and a pipe read the same bytes alike."""

import datetime
import os
import struct
import threading

import numpy as np
import pytest

from doa_core.ambisonics import from_ambix
from doa_core.errors import InputError
from doa_edge.input.audio import FileSource, read_recording
from doa_edge.input.containers.recording import open_sound
from doa_edge.input.format import InputFormat
from doa_edge.input.pcm import PcmFormat
from doa_edge.input.pipe import PipeSource

from .wave_files import AMBISONIC_B, ORDINARY, chunk, extensible, pcm16, wave, wave_format

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.fixture
def sound(plane_wave):
    """(N, 4) samples that 16 bits hold exactly."""
    return (np.round(plane_wave(40.0, 20.0) * 32_768) / 32_768).astype(np.float32)


@pytest.fixture
def both(tmp_path):
    """Read bytes as a file and as a pipe, which must give the same, and return that."""

    def read(data, input_format=None, *, name="case.wav"):
        input_format = input_format or InputFormat()
        path = tmp_path / name
        path.write_bytes(data)
        reading, writing = os.pipe()

        def write():
            with os.fdopen(writing, "wb", buffering=0) as file:
                file.write(data)

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        try:
            piped = [block for block in PipeSource(reading, input_format, name=name) if len(block)]
        finally:
            os.close(reading)
            thread.join(60.0)
        heard = read_recording(path, input_format)
        assert np.array_equal(np.concatenate(piped), heard)
        with FileSource(path, input_format) as source:
            assert source.frames == len(heard)
        return heard

    return read


@pytest.mark.parametrize(
    ("kind", "subtypes"),
    [
        ("WAV", "PCM_U8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE"),
        ("WAVEX", "PCM_U8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE"),
        ("RF64", "PCM_16 PCM_24 FLOAT"),
        ("W64", "PCM_U8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE"),
        ("AIFF", "PCM_S8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE"),
        ("CAF", "PCM_S8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE"),
        ("AU", "PCM_S8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE"),
    ],
)
@pytest.mark.parametrize("endian", ["FILE", "BIG", "LITTLE"])
def test_linear_pcm_is_read_as_libsndfile_reads_it(sound, both, tmp_path, kind, subtypes, endian):
    path = tmp_path / "original"
    read = 0
    for subtype in subtypes.split():
        try:
            soundfile.write(path, sound, 16_000, format=kind, subtype=subtype, endian=endian)
        except ValueError:  # no such format
            continue
        expected = soundfile.read(path, dtype="float32")[0]
        if (kind, endian) in (("AU", "LITTLE"), ("AIFF", "LITTLE")):  # read by libsndfile
            assert np.array_equal(read_recording(path), expected)
        else:
            assert np.array_equal(both(path.read_bytes()), expected)
        read += 1
    assert read or endian != "FILE"


@pytest.mark.parametrize(
    ("size", "line"),
    [
        (0, "does not say how much sound it holds"),
        (0x7FFFFFFF, ""),
        (0xFFFFFFFF, ""),
        (0xFFFF_FFDB, ""),
        (8 * 19_200 + 44, "promises 19205 samples per channel. Received: 19200"),
        (0x70000000, "promises 234881024 samples per channel. Received: 19200"),
        (8 * 10_000, "promises 10000 samples per channel, and more sound follows"),
        (8 * 10_000 + 3, "promises 10000 samples per channel, and more sound follows"),
    ],
)
def test_a_size_that_is_not_true_is_corrected_by_the_sound(sound, both, caplog, size, line):
    assert np.array_equal(both(wave(pcm16(sound), size=size)), sound)
    lines = set(caplog.messages)  # of the file and the pipe
    assert len(lines) == (2 if line else 0)
    assert all(line in text for text in lines)


@pytest.mark.parametrize("riff", [b"RF64", b"BW64"])
@pytest.mark.parametrize("promised", [8 * 19_200, 0])
def test_long_files_have_their_size_in_another_chunk(sound, both, riff, promised):
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, promised, 0, 0))
    data = wave(pcm16(sound), riff=riff, size=0xFFFFFFFF, before=sizes)
    behind = chunk(b"LIST", b"more") if promised else b""
    assert np.array_equal(both(data + behind), sound)


def test_a_size_that_wrapped_at_4_gib_is_seen(tmp_path, sound):
    path = tmp_path / "long.wav"
    head = wave(pcm16(sound), size=80_000)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(44 + 2**32 + 80_000)  # zeros, of which no disk holds a byte
    with FileSource(path) as source:
        assert source.frames == (2**32 + 80_000) // 8
    with path.open("ab") as file:
        file.write(chunk(b"LIST", b"some"))
    with FileSource(path) as source:
        assert source.frames == (2**32 + 80_000) // 8


@pytest.mark.parametrize(
    "behind",
    [
        chunk(b"LIST", b"INFOIART\x04\0\0\0Anna"),
        chunk(b"id3 ", b"ID3\3\0"),
        b"TAG" + b"A title".ljust(125, b"\0"),
        bytes(5000),
        wave(bytes(800)),
        b"\0\0",
    ],
)
def test_what_follows_the_sound_is_no_sound(sound, both, caplog, behind):
    assert np.array_equal(both(wave(pcm16(sound)) + behind), sound)
    assert not caplog.messages


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 4_000])
@pytest.mark.parametrize(
    "behind",
    [
        chunk(b"LIST", b"INFOISFT" + bytes([14, 0, 0, 0]) + b"Lavf60.16.100\0"),
        chunk(b"iXML", b"<?xml version='1.0'?>" + b"x" * 90_001),
        chunk(b"id3 ", b"ID3" + bytes(200)),
    ],
)
def test_chunks_behind_sound_of_unknown_length_are_no_sound(sound, both, size, behind):
    assert np.array_equal(both(wave(pcm16(sound), size=size, behind=behind)), sound)


def test_a_name_alone_is_sound(sound, both):
    """Four letters among samples: without the content of such a chunk they are heard."""
    data = bytearray(pcm16(sound))
    data[800:808] = b"LIST\x10\0\0\0"
    expected = np.frombuffer(bytes(data), "<i2").reshape(-1, 4).astype(np.float32) / 2**15
    assert np.array_equal(both(wave(bytes(data), size=0)), expected)


@pytest.mark.parametrize("samples", [19_197, 19_198, 19_199, 19_200])
def test_padding_of_wave64_and_what_follows_are_no_sound(sound, both, tmp_path, samples):
    path = tmp_path / "original"
    soundfile.write(path, sound[:samples, :3], 16_000, format="W64", subtype="PCM_24")
    data = path.read_bytes()
    end = data.index(b"data\xf3\xac\xd3\x11") + 24 + 9 * samples
    listing = (
        b"levl" + bytes.fromhex("f3acd3118cd100c04f8edb8a") + struct.pack("<Q", 32) + b"some" * 2
    )
    path.write_bytes(data[:end] + bytes(-9 * samples % 8) + listing)
    with open_sound(path) as opened:
        assert opened.frames == samples
        heard = np.concatenate(list(opened.blocks()))
    assert np.array_equal(heard, sound[:samples, :3])


def test_an_empty_file_with_a_chunk_behind_holds_no_sound(tmp_path):
    path = tmp_path / "empty.wav"
    path.write_bytes(wave(b"", behind=chunk(b"LIST", b"INFO")))
    with pytest.raises(InputError, match="must hold sound"):
        FileSource(path)


def test_a_chunk_without_its_padding_is_passed(sound, both):
    odd = b"LIST" + struct.pack("<I", 5) + b"INFOx"
    assert np.array_equal(both(wave(pcm16(sound), before=odd)), sound)
    assert np.array_equal(both(wave(pcm16(sound), before=odd + b"\0")), sound)


def test_a_long_chunk_before_the_sound_is_passed(sound, both):
    assert np.array_equal(both(wave(pcm16(sound), before=chunk(b"JUNK", bytes(1 << 20)))), sound)


@pytest.mark.parametrize("align", [0, 2, 7])
def test_a_block_size_that_is_not_true_is_not_used(sound, both, align):
    assert np.array_equal(both(wave(pcm16(sound), form=wave_format(align=align))), sound)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (wave(bytes(8))[:36] + bytes(100_000), "at byte 36, where the name of a chunk should be"),
        (b"RIFF\0\0\0\0WAVEdata" + struct.pack("<I", 80) + bytes(80), "has no format"),
        (wave(bytes(80), form=bytes(10)), "damaged WAV header: 10 bytes of b'fmt '"),
        (wave(bytes(8))[:30], "cut short inside its WAV header"),
        (wave(bytes(80), before=b"LIST\xff\xff\xff\x7f"), "cut short inside its WAV header"),
        (wave(bytes(80), form=struct.pack("<HHIIHH", 1, 0, 16_000, 0, 0, 16)), "1 to 1024"),
        (b"\0" * 100, "that libsndfile reads"),
        (wave(bytes(80), form=wave_format(rate=0)), "rate of 1 Hz or more"),
        (wave(bytes(80), form=wave_format(rate=4_000_000_000)), "8000 to 192000 Hz"),
    ],
)
def test_what_cannot_be_sound_is_refused(tmp_path, data, message):
    path = tmp_path / "no.wav"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_recording(path)


def words(samples, shift=0):
    """16, 24 or 32-bit numbers in words of four bytes."""
    return (np.round(samples * 2**23).astype("<i4") << shift).tobytes()


@pytest.mark.parametrize(
    "form",
    [
        wave_format(align=16, bits=24),
        wave_format(align=16, bits=32),
        extensible(ORDINARY, align=16, bits=32, valid=24),
        extensible(ORDINARY, align=16, bits=24),
    ],
)
def test_24_bits_in_the_low_bytes_of_32_have_their_level(plane_wave, both, caplog, form):
    samples = (np.round(plane_wave(40.0, 20.0, seconds=2.0) * 2**23) / 2**23).astype(np.float32)
    assert np.array_equal(both(wave(words(samples), form=form)), samples)
    assert len(caplog.messages) == 2
    assert all("24 bits in the low bytes of 32" in line for line in caplog.messages)


def test_a_highest_byte_of_zeros_is_no_sign(plane_wave, both):
    samples = (np.round(plane_wave(40.0, 20.0, seconds=2.0) * 2**23) / 2**23).astype(np.float32)
    packed = (np.frombuffer(words(samples), "<u4") & 0xFFFFFF).tobytes()
    assert np.array_equal(both(wave(packed, form=wave_format(align=16, bits=32))), samples)


@pytest.mark.parametrize(
    "form",
    [
        wave_format(align=16, bits=24),
        wave_format(align=16, bits=32),
        extensible(ORDINARY, align=16, bits=32, valid=24),
    ],
)
def test_16_bits_in_the_low_bytes_of_32_have_their_level(sound, both, form):
    assert np.array_equal(both(wave(words(sound), form=form)), sound)


@pytest.mark.parametrize("gain", [1.0, 3e-4])
@pytest.mark.parametrize(
    "form",
    [wave_format(align=16, bits=32), extensible(ORDINARY, align=16, bits=32, valid=24)],
)
def test_24_bits_in_the_high_bytes_of_32_keep_theirs(plane_wave, both, caplog, gain, form):
    samples = gain * plane_wave(40.0, 20.0, seconds=2.0)
    samples = (np.round(samples * 2**23) / 2**23).astype(np.float32)
    assert np.array_equal(both(wave(words(samples, 8), form=form)), samples)
    assert not caplog.messages


def test_silence_before_the_sound_decides_nothing(plane_wave, both):
    samples = plane_wave(40.0, 20.0, seconds=2.0)
    samples[:9_000] = 0.0
    samples = (np.round(samples * 2**23) / 2**23).astype(np.float32)
    form = wave_format(align=16, bits=32)
    assert np.array_equal(both(wave(words(samples), form=form)), samples)


def test_a_pipe_that_needs_more_than_24_bits_later_is_read_as_32(plane_wave, tmp_path, caplog):
    """A file is known whole; of a pipe only the beginning, when its first sound must go on."""
    samples = plane_wave(40.0, 20.0, seconds=3.0)
    samples[:32_000] *= 1e-4
    stored = np.round(samples * 2**31).clip(-(2**31), 2**31 - 1).astype("<i4")
    data = wave(stored.tobytes(), form=wave_format(align=16, bits=32))
    path = tmp_path / "calculated.wav"
    path.write_bytes(data)
    expected = stored.astype(np.float32) * np.float32(2.0**-31)
    assert np.array_equal(read_recording(path), expected)
    assert not caplog.messages
    with path.open("rb") as file:
        heard = np.concatenate(list(PipeSource(file.fileno())))
    assert np.array_equal(heard[:16_000], 256 * expected[:16_000])
    assert np.array_equal(heard[-15_000:], expected[-15_000:])
    assert ["low bytes" in caplog.messages[0], "from here on" in caplog.messages[1]] == [True, True]


def test_options_say_how_words_are_packed(plane_wave, tmp_path):
    samples = (np.round(plane_wave(40.0, 20.0) * 2**23) / 2**23).astype(np.float32)
    path = tmp_path / "raw"
    raw = PcmFormat(rate=16_000, channels=4, encoding="s24_32le")
    for data in (words(samples), wave(words(samples), form=wave_format(align=16, bits=32))):
        path.write_bytes(data)
        with path.open("rb") as file:
            assert np.array_equal(np.concatenate(list(PipeSource(file.fileno(), raw=raw))), samples)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (extensible(AMBISONIC_B), "a.wav"),
        (extensible(AMBISONIC_B), "a.amb"),
        (extensible(ORDINARY), "a.amb"),
        (wave_format(), "A.AMB"),
    ],
)
def test_ambisonic_b_files_are_fuma(sound, both, caplog, form, name):
    fuma = from_ambix(sound, "fuma")
    data = wave(pcm16(fuma), form=form)
    heard = both(data, name=name)
    np.testing.assert_allclose(heard, sound, atol=2**-15)  # rounded to 16 bits
    assert not caplog.messages
    assert np.array_equal(both(data, InputFormat(audio_format="fuma"), name=name), heard)
    assert not caplog.messages


def test_floats_of_ambisonic_b_are_fuma(sound, both):
    form = extensible(AMBISONIC_B, tag=3, align=16, bits=32)
    data = wave(from_ambix(sound, "fuma").astype("<f4").tobytes(), form=form)
    np.testing.assert_allclose(both(data), sound, atol=1e-6)


def test_other_files_declare_nothing(sound, both):
    data = wave(pcm16(sound), form=extensible(ORDINARY))
    assert np.array_equal(both(data), sound)


def test_a_format_that_is_asked_for_is_used_and_the_contradiction_told(sound, both, caplog):
    data = wave(pcm16(sound), form=extensible(AMBISONIC_B))
    assert np.array_equal(both(data, InputFormat(audio_format="ambix")), sound)
    assert len(caplog.messages) == 2  # of the file, which was opened twice, and of the pipe
    for line in caplog.messages:
        assert "declares that its channels are fuma; they are read as ambix, as asked for" in line


@pytest.mark.parametrize(("tag", "declared"), [(107 << 16 | 4, "fuma"), (190 << 16 | 4, "ambix")])
def test_a_layout_of_channels_in_caf_is_read(sound, tmp_path, tag, declared):
    path = tmp_path / "a.caf"
    soundfile.write(path, sound, 16_000, format="CAF", subtype="PCM_16")
    data = path.read_bytes()
    layout = b"chan" + struct.pack(">qIII", 12, tag, 0, 0)
    at = data.index(b"desc") + 12 + 32
    path.write_bytes(data[:at] + layout + data[at:])
    with FileSource(path) as source:
        assert source.declared == declared


def test_broadcast_wave_tells_when_it_began(sound, tmp_path):
    body = b"Scene 1".ljust(256, b"\0") + b"Recorder".ljust(32, b"\0") + b"R1".ljust(32, b"\0")
    body += b"2024-02-29" + b"23:59:58" + struct.pack("<QH", 16_000 * 86_398, 1) + bytes(254)
    path = tmp_path / "a.wav"
    path.write_bytes(wave(pcm16(sound), before=chunk(b"bext", body)))
    with FileSource(path) as source:
        found = source.broadcast
    assert (found.date, found.time) == (datetime.date(2024, 2, 29), datetime.time(23, 59, 58))
    assert found.time_reference == 16_000 * 86_398
    assert (found.description, found.originator, found.reference) == ("Scene 1", "Recorder", "R1")
    with path.open("rb") as file:
        piped = PipeSource(file.fileno())
        assert len(np.concatenate(list(piped))) == len(sound)
    assert piped.broadcast == found


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        (b"2024_02_28", b"01.02.03", (datetime.date(2024, 2, 28), datetime.time(1, 2, 3))),
        (b"2023-02-29", b"24:00:00", (None, None)),
        (bytes(10), b"        ", (None, None)),
    ],
)
def test_dates_of_other_separators_and_no_dates(sound, tmp_path, date, time, expected):
    body = bytes(320) + date + time + bytes(8 + 256)
    path = tmp_path / "a.wav"
    path.write_bytes(wave(pcm16(sound), before=chunk(b"bext", body)))
    with open_sound(path) as opened:
        assert (opened.broadcast.date, opened.broadcast.time) == expected
    path.write_bytes(wave(pcm16(sound), before=chunk(b"bext", body[:300])))
    with open_sound(path) as opened:
        assert opened.broadcast is None
