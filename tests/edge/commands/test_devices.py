"""Devices by number and name, how they can be opened, and why some cannot; no PortAudio needed."""

import pytest

from doa_core.errors import InputError
from doa_edge.commands.devices import device_reports
from doa_edge.input.format import InputFormat
from doa_edge.input.live.capture import DeviceSource
from doa_edge.input.live.portaudio import DeviceError, InputDevice, find_device, negotiate
from tests.edge import fake_sounddevice as fake

pytest.importorskip("soxr")

ANY = None
MICROPHONE = {"Ambi Mic: USB Audio (hw:1,0)": (4, (16_000, 48_000), ANY)}


def test_busy_device_is_said_to_be_busy(monkeypatch):
    device = fake.install(monkeypatch, **MICROPHONE)
    device.refuse = dict.fromkeys(MICROPHONE, fake.UNAVAILABLE)
    with pytest.raises(DeviceError, match=r"is busy or gone.*fuser"), DeviceSource():
        pass
    (report,) = device_reports()
    assert not report.usable
    assert "busy" in report.note


def test_device_that_refuses_every_rate_or_all_channels_says_so(monkeypatch):
    fake.install(monkeypatch, Odd=(4, (12_345,), ANY), Six=(6, (48_000,), (2,)))
    with pytest.raises(InputError, match=r"Odd must open.*Refused: 16000 Hz \(Invalid sample"):
        DeviceSource("odd", rate=16_000).__enter__()
    with pytest.raises(InputError, match="Invalid number of channels"):
        DeviceSource("six").__enter__()
    with DeviceSource("odd") as source:  # without a wish its own rate does
        assert source.sample_rate == 12_345


def test_asked_channels_that_the_device_lacks_are_refused(monkeypatch):
    fake.install(monkeypatch, **MICROPHONE)
    with pytest.raises(InputError, match=r"among the input's channels.*with 4 channels"):
        DeviceSource(input_format=InputFormat(channel_map=(1, 2, 3, 5))).__enter__()


def devices(*names, channels=4):
    return [
        InputDevice(index=index, name=name, host_api="ALSA", channels=channels, default_rate=48_000)
        for index, name in enumerate(names)
    ]


def test_device_is_found_by_number_or_part_of_its_name():
    listed = devices("Webcam", "Ambi Mic (hw:1,0)", "pulse", "Ambi Mic two")
    assert find_device("1", listed).index == find_device(1, listed).index == 1
    assert find_device("WEB", listed).index == 0
    assert find_device("ambi mic two", listed).index == 3
    for wanted, message in (
        ("ambi", r"single input.*1: Ambi Mic \(hw:1,0\); 3: Ambi Mic two"),
        ("9", "there is 0: Webcam;.*device='9'"),
        ("tetra", "number or a part of the name"),
        (None, "no device option, which could be 0: Webcam"),
    ):
        with pytest.raises(InputError, match=message):
            find_device(wanted, listed)
    with pytest.raises(InputError, match="there is no input device"):
        find_device(None, [])


def test_without_a_name_the_only_microphone_is_taken_and_no_virtual_device():
    assert find_device(None, devices("default", "Ambi Mic", "pulse")).name == "Ambi Mic"


def test_a_name_prefers_devices_with_enough_channels():
    listed = devices("Mic") + devices("x", "Mic (playback, stereo)", channels=2)[1:]
    assert find_device("mic", listed).channels == 4


def test_the_models_rate_is_tried_first_then_the_devices_own(monkeypatch):
    fake.install(monkeypatch, A=(4, (44_100, 16_000), ANY), B=(4, (44_100, 96_000), ANY))
    a, b = (
        InputDevice(index=index, name=name, host_api="ALSA", channels=4, default_rate=44_100)
        for index, name in enumerate("AB")
    )
    assert negotiate(a).rate == 16_000
    assert negotiate(b).rate == 44_100
    assert negotiate(b, rate=96_000).rate == 96_000


def test_list_says_why_devices_cannot_be_used(monkeypatch, capsys):
    from doa_edge.commands.main import main

    device = fake.install(
        monkeypatch,
        **{
            "Good": (4, (16_000,), ANY),
            "Stereo": (2, (48_000,), ANY),
            "Speakers": (0, (48_000,), ANY),
            "Deaf": (4, (12,), ANY),
            "Taken": (4, (16_000,), ANY),
            "ReSpeaker 4 Mic Array": (6, (16_000,), ANY),
            "default": (32, (44_100, 16_000), ANY),
        },
    )
    device.refuse = {"Taken": fake.UNAVAILABLE}
    assert main(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6  # speakers are no input
    by_name = {report.name: report for report in device_reports()}
    assert [name for name, report in by_name.items() if report.usable] == ["Good", "default"]
    for name, why in (
        ("Stereo", "2 channels, 4 are needed"),
        ("Deaf", "Invalid sample rate"),
        ("Taken", "busy"),
        ("ReSpeaker 4 Mic Array", "no Ambisonics"),
        ("default", "may mix"),
    ):
        assert why in by_name[name].note
        assert any(name in line and why in line for line in lines)


def test_list_without_a_usable_device_fails_with_advice(monkeypatch, capsys):
    from doa_edge.commands.main import main

    fake.install(monkeypatch, Stereo=(2, (48_000,), ANY))
    assert main(["devices", "--json"]) == 1
    output = capsys.readouterr()
    assert '"usable": false' in output.out
    assert "no device can be used" in output.err
