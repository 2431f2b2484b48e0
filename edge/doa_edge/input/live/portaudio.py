"""PortAudio's devices, through sounddevice: a list of them, and how each can be opened."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO, Any

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.conversion import HIGHEST_RATE, LOWEST_RATE
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.profiles import not_ambisonic
from doa_edge.input.stream import CHANNELS

COMMON_RATES = (48_000, 44_100, 96_000, 32_000, 192_000)  # hertz, tried in this order
# Names of ALSA's configuration that lead to the sound server, to a default card or nowhere.
_VIRTUAL = re.compile(
    r"(default|sysdefault|pulse|pipewire|jack|oss|usbstream|hw|plughw|plug|dmix|dsnoop|dshare|shm|tee"
    r"|file|null|empty|cards|front|rear|side|center_lfe|surround\d+|iec958|spdif|hdmi|modem|phoneline)"
)
# Names of its plugins that convert what the default card gives.
_CONVERTER = re.compile(
    r"(lavc?rate|samplerate|speexrate|rate_convert|speex|upmix|vdownmix|a52|equal|softvol)([_-]\w+)?"
)
# Where ALSA converts it promises as many channels as it is asked for, 32 to 128 here.
_CONVERTED_CHANNELS = 32
# PortAudio ends a card's name with its number, which is another one when it is plugged in again.
_CARD = re.compile(r"\((plug)?hw:(\d+),(\d+)\)$")
# ALSA's cards without a microphone: what a program plays, and nothing.
_NO_MICROPHONE = re.compile(r"(loopback|dummy): ", re.IGNORECASE)
# Windows numbers a device that was plugged in elsewhere: "Microphone (2- ZYLIA ZM-1)".
_NUMBERED = re.compile(r"\(\d+- ")
# Codes of PortAudio's errors.
_INVALID_CHANNELS, _INVALID_RATE, _UNAVAILABLE = -9998, -9997, -9985


class DeviceError(OSError):
    """A device that cannot be opened now: busy, or gone."""


@dataclass(frozen=True, kw_only=True)
class InputDevice:
    """A device as PortAudio lists it.

    Attributes:
        index: its number; may change when something is plugged in.
        name: in the system.
        host_api: `ALSA`, `JACK Audio Connection Kit`, ...
        channels: of its input, at most; 0 for one that only plays.
        default_rate: [hertz].
    """

    index: int
    name: str
    host_api: str
    channels: int
    default_rate: int

    @property
    def virtual(self) -> bool:
        """Whether the system chooses what is behind it, and may mix or repeat channels."""
        return self.converter or bool(_VIRTUAL.fullmatch(self.name.lower()))

    @property
    def converter(self) -> bool:
        """Whether it is a plugin of ALSA that converts another device, and no microphone."""
        return bool(_CONVERTER.fullmatch(self.name.lower()))

    @property
    def may_convert(self) -> bool:
        """Whether it is of ALSA's configuration and has more channels than microphones have."""
        is_card = self.host_api != "ALSA" or _CARD.search(self.name)
        return self.channels >= _CONVERTED_CHANNELS and not is_card

    @property
    def without_microphone(self) -> bool:
        """Whether it is a card that ALSA makes without a device."""
        return self.host_api == "ALSA" and bool(_NO_MICROPHONE.match(self.name))

    @property
    def lasting_name(self) -> str:
        """The name without the number of an ALSA card, or that of Windows before a device's."""
        return _lasting(self.name)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a device can be opened.

    Attributes:
        device: to open.
        rate: [hertz].
        channels: number of channels to open.
        columns: indices of the four that are used.
    """

    device: InputDevice
    rate: int
    channels: int
    columns: list[int]


def load_portaudio() -> Any:
    """The module sounddevice, with PortAudio running.

    Raises:
        MissingPackageError: sounddevice is not installed.
        OSError: PortAudio is not installed or does not start.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise MissingPackageError("sounddevice", "edge", error) from error
    except OSError as error:
        raise OSError(
            f"PortAudio is needed for live devices and cannot be loaded ({one_line(error)}). "
            "Install it: sudo apt install libportaudio2"
        ) from error
    except RuntimeError as error:  # PortAudio's own errors derive from it
        raise OSError(f"PortAudio does not start: {one_line(error)}") from error
    return sounddevice


def rescan() -> None:
    """Restart PortAudio, which looks for devices only then. No stream may be open."""
    sounddevice = load_portaudio()
    try:
        # The only way with sounddevice; its documentation of both names this use.
        if sounddevice._initialized:
            sounddevice._terminate()
        sounddevice._initialize()
    except sounddevice.PortAudioError as error:
        raise DeviceError(f"PortAudio does not start: {one_line(error)}") from error


def list_devices() -> list[InputDevice]:
    """All devices, those that only play included."""
    sounddevice = load_portaudio()
    host_apis = [api["name"] for api in sounddevice.query_hostapis()]
    return [
        InputDevice(
            index=index,
            name=info["name"],
            host_api=host_apis[info["hostapi"]],
            channels=info["max_input_channels"],
            default_rate=round(info["default_samplerate"]),
        )
        for index, info in enumerate(sounddevice.query_devices())
    ]


def find_device(wanted: str | int | None, devices: Sequence[InputDevice]) -> InputDevice:
    """The input device of a number or a part of a name.

    Args:
        wanted: a number, or a part of a name in any case; None for the only one that is not
            `virtual`, has enough channels and may be an Ambisonics microphone; one that
            `may_convert`, or is a card `without_microphone`, only where there is no other. The
            name of an ALSA card, or of a device of Windows, finds it under another number, too.
        devices: as `list_devices` gives them.

    Raises:
        InputError: there is none, or more than one.
    """
    inputs = [device for device in devices if device.channels]
    known = "; ".join(map(_listed, inputs)) or f"no input device{_refused_by_system()}"
    if isinstance(wanted, int) or (wanted is not None and wanted.isdecimal()):
        found = [device for device in inputs if device.index == int(wanted)]
    elif wanted is None:
        found = [device for device in inputs if device.channels >= CHANNELS and not device.virtual]
        found = [device for device in found if not not_ambisonic(device.name)]
        if len(found) > 1:
            likely = [each for each in found if not (each.may_convert or each.without_microphone)]
            found = likely or found
    else:
        found = _named(wanted.lower(), inputs)
    if len(found) == 1:
        return found[0]
    received = "no device option" if wanted is None else f"device={wanted!r}"
    if found:
        raise InputError(
            "`device` must name a single input. Received: "
            f"{received}, which could be {'; '.join(map(_listed, found))}"
        )
    raise InputError(
        f"`device` must be the number or a part of the name of an input with {CHANNELS} channels "
        f"or more; there is {known}. Received: {received}"
    )


def find_again(
    device: InputDevice, devices: Sequence[InputDevice], *, before: Sequence[InputDevice] = ()
) -> InputDevice:
    """The device of the same name; its numbers, ALSA's too, may have changed while it was away.

    Args:
        device: that was lost.
        devices: that are there now.
        before: that were there when it was found. Another one of its name among them, a second
            microphone of one kind, is not taken for it.

    Raises:
        DeviceError: it is not there, or cannot be told from another one of its name.
    """
    found = [other for other in devices if other.channels and _same_kind(other, device)]
    if same := [other for other in found if other.name == device.name]:
        return min(same, key=lambda other: other.index != device.index)
    twins = {other.name for other in before if _same_kind(other, device)} - {device.name}
    found = [other for other in found if other.name not in twins]
    if not found:
        raise DeviceError(f"{device.name} is not there")
    if len(found) > 1:
        raise DeviceError(f"{device.name} could be {'; '.join(map(_listed, found))}")
    return found[0]


def _named(part: str, inputs: Sequence[InputDevice]) -> list[InputDevice]:
    """The devices whose name has a part, in lower case; the better ones where there are several."""
    found = [device for device in inputs if part in f"{device.name}, {device.host_api}".lower()]
    card = _CARD.search(part)
    if not found and (not card or part[: card.start()].strip()):
        found = [device for device in inputs if _lasting(part) in device.lasting_name.lower()]
    for fits in (
        [device for device in found if device.name.lower() == part],
        [device for device in found if device.channels >= CHANNELS],
    ):
        if len(found) > 1 and fits:
            found = fits
    return found


def _lasting(name: str) -> str:
    """A name without the numbers that change when a device is plugged in again."""
    return _NUMBERED.sub("(", _CARD.sub(r"(\1hw:*,\3)", name))


def _same_kind(one: InputDevice, other: InputDevice) -> bool:
    return (one.lasting_name, one.host_api) == (other.lasting_name, other.host_api)


def _listed(device: InputDevice) -> str:
    what = not_ambisonic(device.name)
    return f"{device.index}: {device.name}" + (f" ({what})" if what else "")


def _refused_by_system() -> str:
    """Why PortAudio lists no device: it leaves out those that this user may not open."""
    nodes = glob.glob("/dev/snd/pcmC*c")
    if not nodes or any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        return ""
    return f" that this user may open (Permission denied: {nodes[0]}; join the group audio)"


def negotiate(
    device: InputDevice,
    input_format: InputFormat = AMBIX,
    *,
    rate: int | None = None,
    model_rate: int = SAMPLE_RATE,
) -> Opening:
    """How a device can be opened: the model's rate, else the device's own, else a common one.

    Args:
        device: to open.
        input_format: which four channels; the first four if it has no map.
        rate: the only one to try [hertz].
        model_rate: the one to try first [hertz].

    Raises:
        InputError: too few channels, or the rate or the channels are refused.
        DeviceError: busy, or gone.
    """
    sounddevice = load_portaudio()
    if input_format.channel_map is None and device.channels >= CHANNELS:
        input_format = replace(input_format, channel_map=range(1, CHANNELS + 1))
    columns = input_format.columns(device.channels, name=device.name)
    rates = [rate] if rate else [model_rate, device.default_rate, *COMMON_RATES]
    rates = [each for each in dict.fromkeys(rates) if LOWEST_RATE <= each <= HIGHEST_RATE]
    # Some drivers open all of their channels or none.
    counts = dict.fromkeys([max(columns) + 1, device.channels])
    reasons: dict[int, str] = {}
    for channels in counts:
        for each in rates:
            try:
                with quiet_descriptor():
                    sounddevice.check_input_settings(
                        device=device.index, channels=channels, dtype="float32", samplerate=each
                    )
            except sounddevice.PortAudioError as error:
                code = error.args[1] if len(error.args) > 1 else None
                if code not in (_INVALID_CHANNELS, _INVALID_RATE):
                    raise device_error(device, error) from error
                reasons[each] = one_line(error.args[0])
                continue
            except ValueError as error:  # the number is no device's any more
                raise device_error(device, error) from error
            return Opening(device=device, rate=each, channels=channels, columns=columns)
    tried = ", ".join(f"{each} Hz ({reason})" for each, reason in reasons.items())
    raise InputError(
        f"{device.name} must open with {max(columns) + 1} channels at a rate from {LOWEST_RATE} to "
        f"{HIGHEST_RATE} Hz. Refused: {tried or f'{rate} Hz'}"
    )


def device_error(device: InputDevice, error: BaseException) -> DeviceError:
    """A failure to open, in words that help."""
    code = error.args[1] if len(error.args) > 1 else None
    if code == _UNAVAILABLE:
        return DeviceError(
            f"{device.name} is busy or gone: another program may have it open (`fuser -v "
            "/dev/snd/*` shows which), or it was unplugged"
        )
    return DeviceError(f"{device.name} does not open: {one_line(error)}")


@contextmanager
def quiet_descriptor() -> Iterator[None]:
    """Drop what libraries write to descriptor 2, such as ALSA about attempts that fail."""
    with ExitStack() as stack:
        with suppress(OSError):  # too many files are open
            stack.enter_context(stderr_to(stack.enter_context(open(os.devnull, "wb"))))
        yield


@contextmanager
def stderr_to(file: IO[bytes]) -> Iterator[None]:
    """Put into a file what libraries write to descriptor 2, past Python."""
    try:
        stderr = os.dup(2)
    except OSError:  # no standard error, or no descriptor left
        yield
        return
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
