"""Faults of a live device, shown by a stand-in for sounddevice; test_live.py has a real one."""

import sys
import threading
import time

import numpy as np
import pytest

from doa_core.errors import MissingPackageError
from doa_edge.commands.doctor import run as doctor
from doa_edge.input.format import InputFormat
from doa_edge.input.live import capture, live_stream
from doa_edge.input.live.capture import DeviceSource
from doa_edge.input.sources import open_source
from doa_edge.input.stream import Gap
from tests.edge import fake_sounddevice as fake
from tests.processes import HANG_S

pytest.importorskip("soxr")

ANY = None
MICROPHONE = {"Ambi Mic: USB Audio (hw:1,0)": (4, (16_000, 48_000), ANY)}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Faults are noticed and mended in less time than on a real device."""
    for name, value in (("POLL_S", 0.01), ("RETRY_S", 0.03), ("SETTLE_S", 0.02)):
        monkeypatch.setattr(capture, name, value)


def sound(samples, *, first=0):
    """(N, 4) samples that tell which they are."""
    number = np.arange(first, first + samples, dtype=np.float32) * 2.0**-20
    return np.repeat(number[:, None], 4, axis=1)


def take(items, *, until):
    """Items up to and including the first that `until` accepts; empty blocks are left out."""
    taken = []
    deadline = time.monotonic() + HANG_S
    for item in items:
        if isinstance(item, Gap) or len(item):
            taken.append(item)
        if (isinstance(item, Gap) or len(item)) and until(item):
            return taken
        assert time.monotonic() < deadline
    raise AssertionError("the stream ended")


def reason(name):
    return lambda item: isinstance(item, Gap) and item.reason == name


def is_sound(item):
    return not isinstance(item, Gap)


def lengths(items):
    return sum(item.samples if isinstance(item, Gap) else len(item) for item in items)


def test_blocks_come_as_they_are_given(monkeypatch):
    device = fake.install(monkeypatch, **MICROPHONE)
    with open_source(device="ambi mic") as source:
        (stream,) = device.streams
        assert (source.name, source.sample_rate) == ("Ambi Mic: USB Audio (hw:1,0)", 16_000)
        stream.give(sound(256))
        stream.give(sound(256, first=256))
        items = iter(source)
        heard = np.concatenate([next(items), next(items)])
        assert np.array_equal(heard, sound(512))
    assert stream.closed


def test_what_was_given_is_copied(monkeypatch):
    device = fake.install(monkeypatch, **MICROPHONE)
    with DeviceSource() as source:
        buffer = sound(256)
        device.streams[0].callback(buffer, 256, None, fake.Status())
        buffer[:] = 7.0  # PortAudio uses it again
        assert np.array_equal(next(iter(source)), sound(256))


def test_four_of_many_channels_and_the_rate_that_is_accepted(monkeypatch):
    """A driver that opens all of its channels or none, at 48 kHz only."""
    device = fake.install(monkeypatch, Interface=(8, (48_000,), (8,)))
    with open_source(
        input_format=InputFormat(channel_map=(5, 2, 3, 8), audio_format="fuma")
    ) as source:
        (stream,) = device.streams
        assert (stream.channels, stream.rate, source.sample_rate) == (8, 48_000, 48_000)
        eight = np.zeros((48_000, 8), np.float32)
        eight[:, [4, 1, 2, 7]] = [0.1, 0.2, 0.3, 0.4]
        for block in np.split(eight, 100):
            stream.give(block)
        heard, items = [], iter(source)
        while sum(map(len, heard)) < 15_000:
            heard.append(next(items))
        middle = np.concatenate(heard)[8_000]
        np.testing.assert_allclose(middle, [0.1 * 2**0.5, 0.3, 0.4, 0.2], atol=1e-5)


def test_a_silent_device_gives_empty_blocks(monkeypatch):
    fake.install(monkeypatch, **MICROPHONE)
    with DeviceSource(stall_s=5.0) as source:
        items = iter(source)
        assert [next(items).shape for _ in range(3)] == [(0, 4)] * 3


@pytest.mark.parametrize("fault", ["lost", "stalled"])
def test_lost_device_is_opened_again_and_time_stays_true(monkeypatch, fault):
    device = fake.install(monkeypatch, **MICROPHONE)
    stall_s = 0.3 if fault == "stalled" else 5.0
    with DeviceSource(stall_s=stall_s) as source:
        (stream,) = device.streams
        began = [time.monotonic() - 256 / 16_000]  # at the earliest, and at the latest
        stream.give(sound(256))
        items = iter(source)
        before = take(items, until=is_sound)
        began.append(time.monotonic())
        device.refuse = dict.fromkeys(device.devices, fake.UNAVAILABLE)
        if fault == "lost":
            stream.active = False
        before += take(items, until=reason(fault))
        assert source.statistics()["losses"] == 1

        back = []

        def speak(stream):
            back.append(time.monotonic())
            stream.give(sound(400, first=1000))

        device.on_start = speak
        for _ in range(20):
            assert next(items).shape == (0, 4)  # alive meanwhile
        assert stream.closed
        device.refuse = {}
        # Other devices came and both numbers changed: the rest of the name counts.
        again = "Ambi Mic: USB Audio (hw:3,0)"
        device.devices = {"Webcam": (2, (16_000,), ANY), again: MICROPHONE[source.name]}
        after = take(items, until=is_sound)
        taken = time.monotonic()
    assert [item.reason for item in after[:-1]] == ["recovered"]
    assert np.array_equal(after[-1], sound(400, first=1000))
    assert device.streams[-1].name == source.name == again
    assert device.scans >= 1
    told_s = lengths(before + after) / 16_000
    assert back[-1] - began[1] - 0.03 < told_s < taken - began[0] + 0.03
    assert source.statistics()["missing_samples"] == lengths(
        [item for item in before + after if isinstance(item, Gap)]
    )


def test_device_that_comes_back_silent_is_tried_again(monkeypatch):
    device = fake.install(monkeypatch, **MICROPHONE)
    with DeviceSource(stall_s=0.1) as source:
        items = iter(source)
        device.streams[0].give(sound(256))
        take(items, until=is_sound)
        device.streams[0].active = False
        device.on_start = lambda stream: (
            stream.give(sound(400)) if len(device.streams) == 4 else None
        )
        items_after = take(items, until=reason("recovered"))
        assert [item.reason for item in items_after] == ["lost", "recovered"]
        assert [stream.closed for stream in device.streams] == [True, True, True, False]


def test_device_that_comes_back_with_another_rate_is_resampled(monkeypatch):
    device = fake.install(monkeypatch, **MICROPHONE)
    with DeviceSource() as source:
        items = iter(source)
        device.streams[0].give(sound(256))
        take(items, until=is_sound)
        device.streams[0].active = False
        device.devices = dict.fromkeys(MICROPHONE, (4, (48000,), ANY))
        device.on_start = lambda stream: stream.give(np.full((9600, 4), 0.5))
        take(items, until=reason("recovered"))
        assert source.sample_rate == 48_000
        heard = take(items, until=is_sound)[-1]
        assert 2_400 < len(heard) <= 3_200
        np.testing.assert_allclose(heard[1000:2000], 0.5, atol=1e-3)


def test_overrun_is_counted_told_and_bounded(monkeypatch):
    device = fake.install(monkeypatch, **MICROPHONE)
    with DeviceSource() as source:
        (stream,) = device.streams
        for turn in range(1000):  # 16 s that nobody takes
            stream.give(sound(256, first=256 * turn))
        held = source._stream.handover
        assert held._put - held._taken <= live_stream.HELD_S * 16_000
        items = iter(source)
        before = [next(items) for _ in range(250)]
        assert np.array_equal(np.concatenate(before), sound(64_000))
        stream.give(sound(256, first=256_000))
        gap, block = take(items, until=is_sound)
        assert (gap.reason, gap.samples) == ("overrun", 192_000)
        assert "too slow" in gap.detail
        assert block[0, 0] == sound(1, first=256_000)[0, 0]
        assert source.statistics()["overruns"] == 1
        assert source.statistics()["missing_samples"] == 192_000


def test_overflow_that_the_device_reports_is_a_gap(monkeypatch):
    device = fake.install(monkeypatch, **MICROPHONE)
    with DeviceSource() as source:
        device.streams[0].give(sound(256))
        device.streams[0].give(sound(256), overflow=True)
        items = take(iter(source), until=reason("overrun"))
        assert items[-1].samples == 0  # how much, the clock finds out
        assert "reports" in items[-1].detail
        assert source.statistics()["overruns"] == 1


def test_sound_that_vanished_silently_becomes_a_gap(monkeypatch):
    """Samples against the clock: 1.5 s of a device's time pass for which nothing came."""
    device = fake.install(monkeypatch, **MICROPHONE)
    now_s = [1000.0]
    source = DeviceSource()
    with source:
        put = source._stream.handover.put
        monkeypatch.setattr(
            source._stream.handover,
            "put",
            lambda samples, arrival_s, overflowed: put(samples, arrival_s=now_s[0]),
        )
        items, heard = iter(source), []
        for turn in range(1000):
            now_s[0] += 0.016 + (1.5 if turn == 500 else 0.0)
            device.streams[0].give(sound(256))
            heard.append(next(items))
            if isinstance(heard[-1], Gap):
                heard.append(next(items))
    (gap,) = [item for item in heard if isinstance(item, Gap)]
    assert gap.reason == "overrun"
    assert gap.samples == pytest.approx(1.5 * 16_000, abs=16)
    assert "lost on the way" in gap.detail


def test_nan_is_a_gap_as_long_as_its_block(monkeypatch):
    device = fake.install(monkeypatch, **MICROPHONE)
    with DeviceSource() as source:
        bad = sound(256)
        bad[17, 2] = np.nan
        for block in (sound(256), bad, sound(256, first=512)):
            device.streams[0].give(block)
        items = iter(source)
        first, gap, last = next(items), next(items), next(items)
        assert np.array_equal(first, sound(256))
        assert (gap.reason, gap.samples) == ("invalid", 256)
        assert np.array_equal(last, sound(256, first=512))
        assert source.statistics()["invalid_blocks"] == 1


def test_gap_behind_resampled_sound_keeps_the_count_exact(monkeypatch):
    device = fake.install(monkeypatch, Mic=(4, (44_100,), ANY))
    with DeviceSource() as source:
        bad = np.full((4410, 4), np.inf, np.float32)
        for _ in range(20):
            device.streams[0].give(np.zeros((4410, 4)))
        device.streams[0].give(bad)
        items = take(iter(source), until=reason("invalid"))
        assert lengths(items) == round(21 * 4410 / 44_100 * 16_000)


def test_missing_package_and_missing_library_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingPackageError, match=r'pip install "doa-tf\[edge\]"'):
        DeviceSource().__enter__()
    fake.without_library(monkeypatch)
    with pytest.raises(OSError, match="sudo apt install libportaudio2"):
        DeviceSource().__enter__()


def test_interruption_while_waiting_leaves_at_once(monkeypatch):
    device = fake.install(monkeypatch, **MICROPHONE)

    def follow(source, ended):
        with source:
            for item in source:
                if isinstance(item, Gap):
                    break
        ended.set()

    ended = threading.Event()
    threading.Thread(target=follow, args=(DeviceSource(), ended), daemon=True).start()
    while not device.streams:
        time.sleep(0.01)
    device.streams[0].active = False
    assert ended.wait(HANG_S)
    assert device.streams[0].closed


def test_driver_that_hangs_holds_up_nobody(monkeypatch):
    """Closing a stream whose device froze may never return."""
    monkeypatch.setattr(capture, "CLOSE_S", 0.1)
    device = fake.install(monkeypatch, **MICROPHONE)
    abandoned = []
    monkeypatch.setattr(capture, "abandon_portaudio", lambda: abandoned.append(True))
    thaw, returned = threading.Event(), threading.Event()

    def abort(ignore_errors):
        thaw.wait(20.0)
        returned.set()

    with DeviceSource(stall_s=0.1) as source:
        device.streams[0].abort = abort
        items = iter(source)
        take(items, until=reason("stalled"))
        assert [next(items).shape for _ in range(10)] == [(0, 4)] * 10
        assert not returned.is_set()
        assert len(device.streams) == 1  # not opened twice
    assert abandoned
    thaw.set()


def test_doctor_reports_a_device_with_a_dead_channel(monkeypatch, capsys):
    from doa_edge.commands.parser import parse_options

    device = fake.install(monkeypatch, **MICROPHONE)

    def speak(stream):
        noise = 0.1 * np.random.default_rng(0).standard_normal((16_000, 4))
        noise[:, 2] *= 1e-4
        for block in np.split(noise, 100):
            stream.give(block)

    device.on_start = speak
    options = parse_options(["doctor", "--seconds", "1"])
    assert doctor(options) == 1
    output = capsys.readouterr().out
    assert "channel 3 is dead" in output
    assert "Ambi Mic: USB Audio (hw:1,0) at 16000 Hz" in output
