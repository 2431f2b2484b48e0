"""A four-channel microphone made of software: PulseAudio's null sink behind ALSA's pulse plugin.

PortAudio opens it as it opens any device. What is played into the sink comes out of it, sample by
sample, in real time.
"""

from __future__ import annotations

import ctypes.util
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

from tests.processes import HANG_S

DEVICE = "ambi_mic"
CHANNEL_MAP = "front-left,front-right,rear-left,rear-right"  # aux0 to aux3 would be silent
OPTIONS = ("--exit-idle-time=-1", "--daemonize=no", "--use-pid-file=no")
NEEDED = "apt install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"


def missing():
    """What is not installed, in words; empty if everything is there."""
    absent = [name for name in ("pulseaudio", "pactl", "paplay") if not shutil.which(name)]
    if not glob.glob("/usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so"):
        absent.append("ALSA's pulse plugin")
    if not ctypes.util.find_library("portaudio"):
        absent.append("PortAudio")
    return f"{', '.join(absent)} not installed ({NEEDED})" if absent else ""


class VirtualMicrophone:
    """The microphone, which can be unplugged; `stop` ends everything that was started."""

    def __init__(self, folder, *, rate=16_000):
        self.folder = folder
        self.rate = rate
        self.socket = folder / "socket"
        self.processes = []
        self._environment = {
            **{name: value for name, value in os.environ.items() if "PULSE" not in name},
            "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder),
        }
        # Where PortAudio finds it, and nothing else.
        self.environment = {
            **{name: value for name, value in self._environment.items() if name != "HOME"},
            "HOME": os.environ.get("HOME", "/"),
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        }
        (folder / "pulse.pa").write_text(
            f"load-module module-native-protocol-unix auth-anonymous=1 socket={self.socket}\n"
            f"load-module module-null-sink {self._sink()}\n"
        )
        (folder / "asound.conf").write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f'pcm.{DEVICE} {{ type pulse server "unix:{self.socket}" device "ambi.monitor" }}\n'
        )
        self.start()

    def start(self):
        """Start the sound server, with the microphone plugged in."""
        self.daemon = self._start(["pulseaudio", "-n", "-F", "pulse.pa", *OPTIONS])
        self._wait_until_ready()

    def _sink(self):
        return f"sink_name=ambi format=s16le rate={self.rate} channels=4 channel_map={CHANNEL_MAP}"

    def _stream(self, latency_ms):
        return (
            f"--server=unix:{self.socket} --latency-msec={latency_ms} --raw --format=s16le "
            f"--rate={self.rate} --channels=4 --channel-map={CHANNEL_MAP}"
        ).split()

    def _start(self, command):
        log = (self.folder / "log").open("ab")
        with log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def _wait_until_ready(self):
        deadline = time.monotonic() + HANG_S
        while "ambi" not in self._control("list", "short", "sinks", check=False):
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)

    def _control(self, *arguments, check=True):
        done = subprocess.run(
            ["pactl", "--server", f"unix:{self.socket}", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=HANG_S,
            check=check,
        )
        return done.stdout

    def play(self, samples):
        """Begin to play (N, 4) float samples, in [-1, 1), rounded to 16 bits."""
        path = self.folder / f"sound{len(self.processes)}.raw"
        path.write_bytes((samples * 32768.0).round().clip(-32768, 32767).astype("<i2").tobytes())
        return self.play_again(path)

    def play_again(self, path):
        """Begin to play a file of raw 16-bit samples."""
        return self._start(["paplay", *self._stream(20), "-d", "ambi", str(path)])

    def unplug(self):
        self._control("unload-module", "module-null-sink")

    def plug(self):
        self._control("load-module", "module-null-sink", *self._sink().split())

    def freeze(self):
        """The device is there and gives nothing."""
        self.daemon.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.daemon.send_signal(signal.SIGCONT)

    def run(self, *arguments, **settings):
        """Start `doa_edge` beside the microphone."""
        process = subprocess.Popen(
            [sys.executable, "-m", "doa_edge", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **settings,
        )
        self.processes.append(process)
        return process

    def listen(self):
        """Start to record the same sound without PortAudio; raw 16-bit samples on its stdout."""
        process = subprocess.Popen(
            ["parec", *self._stream(10), "-d", "ambi.monitor"],
            env=self._environment,
            stdout=subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def stop(self):
        self.thaw()
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
