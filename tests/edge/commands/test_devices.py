"""Devices by number and name, how they can be opened, and why some cannot; no PortAudio needed."""

import pytest

from doa_core.errors import InputError
from doa_edge.commands.devices import device_reports
from doa_edge.input.format import InputFormat
from doa_edge.input.live import portaudio
from doa_edge.input.live.capture import DeviceSource
from doa_edge.input.live.portaudio import (
    DeviceError,
    InputDevice,
    find_again,
    find_device,
    negotiate,
)
from doa_edge.input.profiles import not_ambisonic
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


def alsa(*names, channels=4):
    return devices(*names, channels=channels)


def test_a_card_with_another_number_is_the_same_microphone():
    (lost,) = alsa("H3-VR: USB Audio (hw:1,0)")
    onboard, back = alsa("bcm2835 ALSA: - (hw:0,0)", "H3-VR: USB Audio (hw:12,0)")
    assert find_again(lost, [onboard, back]) == back
    for other in ("H3-VR: USB Audio (hw:2,1)", "H3-VR (hw:2,0)", "Webcam: USB Audio (hw:1,0)"):
        with pytest.raises(DeviceError, match=r"H3-VR: USB Audio .* is not there"):
            find_again(lost, alsa(other))
    # A name of another interface may end as it likes.
    (lost,) = devices("Take 1")
    with pytest.raises(DeviceError):
        find_again(lost, devices("Take 2"))


def test_a_second_microphone_of_one_kind_is_not_taken_for_the_lost_one():
    first, second = alsa("H3-VR: USB Audio (hw:1,0)", "H3-VR: USB Audio (hw:2,0)")
    (back,) = alsa("H3-VR: USB Audio (hw:3,0)")
    assert find_again(first, [second, first], before=[first, second]) == first
    with pytest.raises(DeviceError, match="not there"):
        find_again(first, [second], before=[first, second])
    assert find_again(first, [second, back], before=[first, second]) == back
    with pytest.raises(DeviceError, match=r"could be 1: H3-VR.*hw:2.*; 0: H3-VR.*hw:3"):
        find_again(first, [second, back])  # both are new


def test_a_device_is_named_with_a_number_that_its_card_had():
    listed = alsa("bcm2835 ALSA: - (hw:0,0)", "H3-VR: USB Audio (hw:2,0)")
    assert find_device("H3-VR: USB Audio (hw:1,0)", listed).index == 1
    assert find_device("usb audio (hw:7,0)", listed).index == 1
    twins = alsa("H3-VR: USB Audio (hw:1,0)", "H3-VR: USB Audio (hw:2,0)")
    assert find_device("H3-VR: USB Audio (hw:2,0)", twins).index == 1
    for wanted in ("H3-VR: USB Audio (hw:1,3)", "(hw:5,0)", "hw:5,0"):
        with pytest.raises(InputError, match="number or a part of the name"):
            find_device(wanted, listed)


CONVERTERS = (
    *("lavrate", "lavcrate", "samplerate", "samplerate_best", "speexrate", "speexrate_medium"),
    *("speex", "upmix", "vdownmix", "a52", "rate_convert"),
)
VIRTUAL = (
    *("default", "sysdefault", "pulse", "pipewire", "jack", "oss", "dsnoop", "dmix", "null"),
    *("front", "surround40", "surround71", "hdmi", "iec958", "plughw"),
)


@pytest.mark.parametrize("name", [*CONVERTERS, *VIRTUAL])
def test_what_alsa_converts_is_no_microphone(name):
    converters = alsa(name, name.upper(), channels=128)
    (microphone,) = alsa("H3-VR: USB Audio (hw:1,0)")
    assert find_device(None, [*converters, microphone]) == microphone
    with pytest.raises(InputError, match="no device option"):
        find_device(None, converters)
    assert find_device(name.upper(), converters[:1]).name == name  # whoever asks for it, gets it


def test_a_plugin_of_an_unknown_name_shows_itself_by_its_channels():
    listed = alsa("my_rate", channels=128) + alsa("", "em32: USB Audio (hw:1,0)", channels=32)[1:]
    assert find_device(None, listed).name == "em32: USB Audio (hw:1,0)"
    for channels in (4, 32, 128):  # of an asound.conf, and the only one
        assert find_device(None, alsa("mine", "default", channels=channels)).name == "mine"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("ReSpeaker 4 Mic Array (UAC1.0): USB Audio (hw:2,0)", "in one plane"),
        ("seeed-4mic-voicecard: bcm2835-i2s-ac10x-codec0 ac10x-codec0-0 (hw:1,0)", "in one plane"),
        ("seeed8micvoicec: - (hw:1,0)", "in one plane"),
        ("USB Camera-B4.09.24.1: Audio (hw:2,0)", "in a line"),
        ("PlayStation Eye: USB Audio (hw:2,0)", "in a line"),
        ("Kinect USB Audio: - (hw:3,0)", "in a line"),
        ("Xbox NUI Sensor: USB Audio (hw:3,0)", "in a line"),
        ("Azure Kinect Microphone Array: USB Audio (hw:3,0)", "in one plane"),
        ("micArray RAW SPK: USB Audio (hw:1,0)", "in one plane"),
        ("miniDSP UMA-8: USB Audio (hw:1,0)", "in one plane"),
        ("MATRIXIO-SOUND: - (hw:2,0)", "in one plane"),
        ("ZYLIA ZM-1: USB Audio (hw:1,0)", "encode them to AmbiX"),
        ("Spatial Mic Dante: USB Audio (hw:1,0)", "encode them to AmbiX"),
    ],
)
def test_arrays_that_are_no_ambisonics_are_told_so(monkeypatch, caplog, name, what):
    fake.install(monkeypatch, **{name: (6, (16_000,), ANY)})
    (report,) = device_reports()
    assert not report.usable
    assert what in report.note
    with pytest.raises(InputError, match=f"no device option|{what}"):
        DeviceSource().__enter__()
    with DeviceSource("0") as source:  # asked for by name it is opened, and told about
        assert source.name == name
    assert what in caplog.text


@pytest.mark.parametrize("name", ["H3-VR", "AMBEO VR Mic", "UMC404HD 192k", "Zoom H2n", "Scarlett"])
def test_other_names_may_be_ambisonics(name):
    assert not_ambisonic(f"{name}: USB Audio (hw:1,0)") is None


def test_devices_that_this_user_may_not_open_are_no_mystery(monkeypatch):
    monkeypatch.setattr(portaudio.glob, "glob", lambda _: ["/dev/snd/pcmC1D0c"])
    monkeypatch.setattr(portaudio.os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"Permission denied: /dev/snd/pcmC1D0c.*group audio"):
        find_device(None, [])
    monkeypatch.setattr(portaudio.os, "access", lambda *_: True)
    with pytest.raises(InputError, match=r"there is no input device\. Received"):
        find_device(None, [])


def test_a_device_that_windows_numbers_anew_is_the_same_microphone():
    names = ("Microphone (ZYLIA ZM-1)", "Microphone (2- ZYLIA ZM-1)", "Microphone (13- ZYLIA ZM-1)")
    for lost in names:
        for back in names:
            (before,), (after,) = devices(lost), devices(back)
            assert find_again(before, [after]) == after
            assert find_device(lost, devices("Webcam", back)).index == 1
    both = devices(*names[:2])
    assert find_device(names[1], both).index == 1
    assert find_device(names[0], both).index == 0
    with pytest.raises(InputError, match="number or a part of the name"):
        find_device("Microphone (2- H3-VR)", both)


def test_cards_without_a_microphone_are_taken_only_by_name():
    loops = ("Loopback: PCM (hw:1,0)", "Loopback: PCM (hw:1,1)", "Dummy: PCM (hw:2,0)")
    listed = alsa(*loops, "H3-VR: USB Audio (hw:3,0)")
    assert find_device(None, listed).index == 3
    assert find_device("loopback: pcm (hw:1,1)", listed).index == 1
    assert find_device(None, alsa(loops[2])).index == 0  # there is no other
    with pytest.raises(InputError, match=r"could be 0: Loopback.*; 1: Loopback"):
        find_device(None, alsa(*loops[:2]))
    assert find_device(None, alsa(loops[0], "Dummy head (hw:3,0)")).index == 1  # a microphone
