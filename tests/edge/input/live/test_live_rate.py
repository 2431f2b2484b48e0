"""A device that has one rate and refuses all others, through real PortAudio and ALSA.

JACK's dummy driver behind ALSA's jack plugin: four channels of silence at 48 kHz, in real time.
"""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.edge.virtual_microphone import missing
from tests.processes import HANG_S

RATE = 48_000
DEVICE = "one_rate"
NEEDED = "apt install jackd2 libasound2-plugins libportaudio2"

pytest.importorskip("sounddevice", exc_type=(ImportError, OSError))
pytest.importorskip("soxr")


def lacks():
    absent = [] if shutil.which("jackd") else ["jackd"]
    if not glob.glob("/usr/lib/*/alsa-lib/libasound_module_pcm_jack.so"):
        absent.append("ALSA's jack plugin")
    if "PortAudio" in missing():
        absent.append("PortAudio")
    return f"{', '.join(absent)} not installed ({NEEDED})" if absent else ""


pytestmark = pytest.mark.skipif(bool(lacks()), reason=lacks() or "-")


class Device:
    """The sound server, and where PortAudio finds its device and nothing else of ALSA's."""

    def __init__(self, folder):
        server = f"doa_{os.getpid()}"
        ports = " ".join(f"{number} system:capture_{number + 1}" for number in range(4))
        (folder / "asound.conf").write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f"pcm.{DEVICE} {{ type jack capture_ports {{ {ports} }} }}\n"
        )
        self.environment = {
            **os.environ,
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
            "JACK_DEFAULT_SERVER": server,
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
        }
        options = f"-n {server} --no-realtime --no-mlock -d dummy -r {RATE} -C 4 -P 0".split()
        self.log = folder / "log"
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                ["jackd", *options], env=self.environment, stdout=file, stderr=file
            )

    def wait_until_ready(self):
        deadline = time.monotonic() + HANG_S
        while not self.devices():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)

    def devices(self):
        done = self.start("devices", "--json")
        output, _ = done.communicate(timeout=HANG_S)
        return [each for each in json.loads(output or "[]") if each["name"] == DEVICE]

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "doa_edge", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(HANG_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    device = Device(tmp_path_factory.mktemp("jack"))
    try:
        device.wait_until_ready()
        yield device
    finally:
        device.stop()


def test_the_rate_that_it_has_is_found(device):
    (found,) = device.devices()
    assert (found["usable"], found["rate"]) == (True, RATE)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_an_asked_rate_that_it_has_not_is_refused(device, rate):
    done = device.start("run", "--device", DEVICE, "--rate", str(rate))
    output, errors = done.communicate(timeout=HANG_S)
    assert (done.returncode, output) == (2, "")
    assert f"Refused: {rate} Hz (Invalid sample rate)" in errors


def test_without_a_wish_it_is_resampled(device):
    run = device.start("run", "--device", DEVICE)
    try:
        line = json.loads(run.stdout.readline())  # the window is complete: 0.832 s at 16 kHz
        assert line["time_s"] == pytest.approx(0.832)
        assert line["active"] is False  # silence
    finally:
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=HANG_S)
    assert run.returncode == 130, errors
