"""A stand-in for sounddevice, for faults that a real PortAudio does not show on demand."""

from __future__ import annotations

import sys
import types

import numpy as np

INVALID_CHANNELS, INVALID_RATE, UNAVAILABLE, HOST_ERROR = -9998, -9997, -9985, -9999


class PortAudioError(Exception):
    pass


class Status:
    def __init__(self, *, input_overflow=False):
        self.input_overflow = input_overflow


class FakeSoundDevice(types.ModuleType):
    """Devices by name: (channels, rates that are accepted, channel counts or None for any).

    Attributes:
        streams: that were opened, in order; a test calls their `give`.
        refuse: name -> code of the error of an attempt to open.
    """

    PortAudioError = PortAudioError

    def __init__(self, **devices):
        super().__init__("sounddevice")
        self.devices = devices
        self.refuse = {}
        self.streams = []
        self.scans = 0
        self._initialized = 1
        fake = self

        class InputStream:
            def __init__(self, *, device, channels, samplerate, callback, **settings):
                self.name = fake._check(device, channels, samplerate)
                self.channels, self.rate, self.callback = channels, samplerate, callback
                self.settings = settings
                self.active = False
                self.closed = False
                self.on_start = None
                fake.streams.append(self)

            def start(self):
                self.active = True
                if fake.on_start:
                    fake.on_start(self)

            def abort(self, ignore_errors):
                self.active = False

            def close(self, ignore_errors):
                self.closed = True

            def give(self, samples, *, overflow=False):
                samples = np.asarray(samples, np.float32)
                padded = np.zeros((len(samples), self.channels), np.float32)
                padded[:, : samples.shape[1]] = samples
                self.callback(padded, len(padded), None, Status(input_overflow=overflow))

        self.InputStream = InputStream
        self.on_start = None

    def query_hostapis(self):
        return ({"name": "ALSA"},)

    def query_devices(self):
        return [
            {
                "name": name,
                "hostapi": 0,
                "max_input_channels": channels,
                "default_samplerate": float(rates[0]),
            }
            for name, (channels, rates, _) in self.devices.items()
        ]

    def check_input_settings(self, *, device, channels, dtype, samplerate):
        self._check(device, channels, samplerate)

    def _check(self, device, channels, rate):
        if device >= len(self.devices):
            raise ValueError("No input device matching")
        name, (_, rates, counts) = list(self.devices.items())[device]
        if name in self.refuse:
            raise PortAudioError("refused", self.refuse[name])
        if counts and channels not in counts:
            raise PortAudioError("Invalid number of channels", INVALID_CHANNELS)
        if rate not in rates:
            raise PortAudioError("Invalid sample rate", INVALID_RATE)
        return name

    def _terminate(self):
        self._initialized -= 1

    def _initialize(self):
        self._initialized += 1
        self.scans += 1


def without_library(monkeypatch):
    """sounddevice is installed, and PortAudio is not."""

    class NoLibrary:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoLibrary, *sys.meta_path])


def install(monkeypatch, **devices):
    fake = FakeSoundDevice(**devices)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake
