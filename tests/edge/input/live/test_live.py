"""A live microphone through real PortAudio: virtual_microphone.py says what it is made of."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_edge.engine import DirectionEngine
from doa_edge.input.audio import read_recording
from doa_edge.tflite.network import TfliteModel, default_model_path
from tests.edge.conftest import unit_vector
from tests.edge.virtual_microphone import DEVICE, VirtualMicrophone, missing
from tests.places import DEMO
from tests.processes import HANG_S

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")
pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")

RATE = 16_000
WINDOW_S, STEP_S = 13_312 / RATE, 5 * 512 / RATE
RECORDING = DEMO / "recordings" / "office.wav"
AWAY_S = 4.0  # of a device; a processor that others use delays lines by far less
SLACK_S = 0.05  # what is left of a step when it is heard that there is sound


@pytest.fixture
def microphone(tmp_path):
    device = VirtualMicrophone(tmp_path)
    yield device
    device.stop()


def noise(azimuth_deg, seconds, *, seed=0):
    signal = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return encode_plane_wave(signal, unit_vector(azimuth_deg, 0.0)).astype(np.float32)


class Lines:
    """What a command prints, each line with the time when it came."""

    def __init__(self, process):
        self.process = process
        self.estimates, self.gaps, self.talk = [], [], []
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self):
        for text in self.process.stdout:
            arrived_s = time.monotonic()
            line = json.loads(text)
            (self.gaps if "event" in line else self.estimates).append((arrived_s, line))

    def _listen(self):
        self.talk.extend(self.process.stderr)

    def wait_for(self, ready, *, timeout_s=HANG_S):
        deadline = time.monotonic() + timeout_s
        while not ready():
            assert self.process.poll() is None, "".join(self.talk)
            assert time.monotonic() < deadline, "".join(self.talk)
            time.sleep(0.05)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(HANG_S)
        for thread in self._threads:
            thread.join(HANG_S)
        assert status == 130, "".join(self.talk)
        return "".join(self.talk)

    def delay_s(self, first=0, last=None):
        """The smallest time from a window's end, in stream time, to its line."""
        return min(arrived - line["time_s"] for arrived, line in self.estimates[first:last])


def run(microphone, model, *arguments):
    return Lines(
        microphone.run("run", "--device", DEVICE, "--json", "--model", str(model), *arguments)
    )


def distance_deg(line, azimuth_deg):
    return abs((line["azimuth_deg"] - azimuth_deg + 180.0) % 360.0 - 180.0)


def test_devices_and_doctor_find_the_microphone(microphone):
    done = microphone.run("devices", "--json")
    output, errors = done.communicate(timeout=HANG_S)
    assert (done.returncode, errors) == (0, "")
    (device,) = json.loads(output)
    assert (device["name"], device["usable"], device["rate"]) == (DEVICE, True, RATE)

    # Four talkers around the microphone.
    reference = microphone.listen()
    microphone.play(sum(noise(azimuth, 60.0, seed=azimuth) for azimuth in (10, 100, 190, 280)) / 2)
    while not any(os.read(reference.stdout.fileno(), 1 << 16)):
        pass  # it has not begun
    reference.terminate()
    done = microphone.run("doctor", "--seconds", "2", "--json")
    output, errors = done.communicate(timeout=HANG_S)
    findings = {finding["name"]: finding for finding in json.loads(output)}
    assert errors == ""
    assert findings["input"]["found"] == f"{DEVICE} at {RATE} Hz"
    for name in ("python", "packages", "model", "input", "numbers", "clipping", "offset"):
        assert findings[name]["state"] == "ok", findings[name]
    # Nobody speaks from above: Z is silent, and that is said.
    assert findings["level"]["state"] == "fault"
    assert "channel 3 is dead" in findings["level"]["advice"]
    assert done.returncode == 1


def test_device_refuses_what_it_does_not_have(microphone):
    for arguments, message in (
        (("--channels", "1,2,3,40"), "among the input's channels"),
        (("--device", "tetra"), "number or a part of the name"),
    ):
        done = microphone.run("run", "--device", DEVICE, *arguments)
        _, errors = done.communicate(timeout=HANG_S)
        assert done.returncode == 2
        assert message in errors


RECORDER = """
import sys
import numpy as np
from doa_edge.input.sources import open_source
with open_source(device=sys.argv[1]) as source:
    heard = []
    for block in source:
        heard.append(block)
        if sum(map(len, heard)) > float(sys.argv[2]) * 16_000:
            break
np.save(sys.argv[3], np.concatenate(heard))
"""


def test_the_same_sound_gives_the_same_directions_as_file_pipe_and_device(microphone, tmp_path):
    """What the device gives are the samples of another recorder of the same sound, every one."""
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, DEVICE, "4", str(tmp_path / "heard.npy")],
        env=microphone.environment,
    )
    microphone.processes.append(process)
    reference = microphone.listen()
    microphone.play(read_recording(RECORDING))
    recorded = []
    while process.poll() is None:
        recorded.append(os.read(reference.stdout.fileno(), 1 << 16))
    reference.terminate()
    assert process.returncode == 0
    recorded = b"".join(recorded)
    raw = np.frombuffer(recorded[: len(recorded) // 8 * 8], "<i2").reshape(-1, 4)
    heard = np.load(tmp_path / "heard.npy")
    # Either may have missed the first samples. Aligned by a piece that is unmistakable.
    sound = heard[np.flatnonzero(heard.any(axis=1))[0] + RATE // 2 :]
    words = np.ascontiguousarray((sound * 32768.0).astype("<i2"))
    assert np.array_equal(words, sound * 32768.0)  # 16 bits are all that the device has
    offset = raw.tobytes().index(words[: RATE // 10].tobytes())
    assert offset % 8 == 0
    raw = raw[offset // 8 :]
    count = min(len(raw), len(words))
    assert count > 2 * RATE
    assert np.array_equal(words[:count], raw[:count])

    path = tmp_path / "same.wav"
    soundfile.write(path, raw[:count], RATE, subtype="PCM_16")
    (tmp_path / "same.raw").write_bytes(raw[:count].tobytes())
    from_file = microphone.run("run", "--input", str(path)).communicate(timeout=HANG_S)
    with (tmp_path / "same.raw").open("rb") as file:
        piped = microphone.run(
            *("run", "--input", "-", "--encoding", "s16le", "--rate", "16000"), stdin=file
        ).communicate(timeout=HANG_S)
    assert piped == from_file
    model = TfliteModel(default_model_path())
    from_device = DirectionEngine(model).run(np.array_split(sound[:count], 77))
    printed = [json.loads(line) for line in from_file[0].splitlines()]
    assert len(printed) > 5
    assert [estimate.to_dict() for estimate in from_device] == printed


def test_latency_from_sound_to_direction(microphone, tiny_tflite, record_property):
    """A voice that jumps is followed half a window later, rounded up to the next estimate.

    In the time of the stream: how soon a line comes after its window is the machine's affair.
    """
    turn_s, turns = 1.6, 8
    sound = [noise(turn % 2 * 180.0 - 120.0, turn_s, seed=turn) for turn in range(turns)]
    lines = run(microphone, tiny_tflite, "--verbose")
    reference, recorded = microphone.listen(), bytearray()

    def record():
        while data := os.read(reference.stdout.fileno(), 1 << 16):
            recorded.extend(data)

    recorder = threading.Thread(target=record, daemon=True)
    recorder.start()
    lines.wait_for(lambda: len(lines.estimates) > 10)
    microphone.play(np.concatenate([*sound, noise(0.0, 3.0) * 0.0]))
    # From silence to sound once, then there and back.
    lines.wait_for(lambda: any(line["active"] for _, line in lines.estimates))
    onset_s = next(line["time_s"] for _, line in lines.estimates if line["active"])
    lines.wait_for(lambda: lines.estimates[-1][1]["time_s"] > onset_s + turns * turn_s)
    talk = lines.end()
    reference.terminate()
    recorder.join(HANG_S)

    # When it jumped: the player may have stumbled, but each sample tells its side by its sign.
    raw = np.frombuffer(bytes(recorded[: len(recorded) // 8 * 8]), "<i2").reshape(-1, 4)
    side = np.sign(raw[:, 0].astype(int) * raw[:, 3])
    heard = np.flatnonzero(side)
    jumps = 1 + np.flatnonzero(np.diff(side[heard]))
    assert len(jumps) == turns - 1
    delays = []
    for jump in jumps:
        jump_s = onset_s + (heard[jump] - heard[0]) / RATE  # up to a step later than it was
        target = 60.0 if side[heard[jump]] > 0 else -120.0
        following = [
            line["time_s"]
            for _, line in lines.estimates
            if line["time_s"] > jump_s and distance_deg(line, target) < 90.0
        ]
        delays.append(following[0] - jump_s)
    record_property("delay_s", [round(float(delay), 3) for delay in sorted(delays)])
    assert min(delays) > WINDOW_S / 2 - STEP_S - SLACK_S  # not before it can be known
    assert max(delays) < WINDOW_S / 2 + STEP_S + SLACK_S
    peak = next(line for line in talk.splitlines() if line.startswith("peak memory"))
    assert int(peak.split()[2]) <= 110  # MB


def test_unplugged_and_plugged_in_again(microphone, tiny_tflite):
    microphone.play(noise(40.0, 30.0))
    lines = run(microphone, tiny_tflite)
    lines.wait_for(lambda: len(lines.estimates) > 15)
    microphone.unplug()
    lines.wait_for(lambda: lines.gaps)
    before = len(lines.estimates)
    time.sleep(AWAY_S)
    microphone.plug()
    microphone.play(noise(-100.0, 30.0))
    lines.wait_for(lambda: len(lines.estimates) > before + 15)
    talk = lines.end()
    assert [line["reason"] for _, line in lines.gaps] == ["lost", "recovered"]
    assert f"{DEVICE} is gone" in talk
    assert f"{DEVICE} was away" in talk
    assert "Expression" not in talk  # PortAudio's own words
    assert distance_deg(lines.estimates[before - 1][1], 40.0) < 1.0
    assert distance_deg(lines.estimates[-1][1], -100.0) < 1.0
    # Stream time and time passed side by side, before and after: what was away counts.
    assert abs(lines.delay_s(0, before) - lines.delay_s(before)) < AWAY_S / 2


def test_sound_server_that_dies_and_comes_back(microphone, tiny_tflite, tmp_path):
    microphone.play(noise(40.0, 30.0))
    lines = run(microphone, tiny_tflite)
    lines.wait_for(lambda: len(lines.estimates) > 15)
    microphone.daemon.kill()
    lines.wait_for(lambda: lines.gaps)
    before = len(lines.estimates)
    time.sleep(AWAY_S)
    microphone.start()
    microphone.play(noise(-100.0, 30.0))
    lines.wait_for(lambda: len(lines.estimates) > before + 15)
    lines.end()
    assert [line["reason"] for _, line in lines.gaps] == ["lost", "recovered"]
    assert abs(lines.delay_s(0, before) - lines.delay_s(before)) < AWAY_S / 2


def test_device_that_gives_nothing_is_opened_again(microphone, tiny_tflite):
    microphone.play(noise(40.0, 30.0))
    lines = run(microphone, tiny_tflite, "--stall", "1")
    lines.wait_for(lambda: len(lines.estimates) > 15)
    microphone.freeze()
    lines.wait_for(lambda: lines.gaps)
    before = len(lines.estimates)
    time.sleep(AWAY_S)
    microphone.thaw()
    lines.wait_for(lambda: len(lines.estimates) > before + 15)
    talk = lines.end()
    reasons = [line["reason"] for _, line in lines.gaps]
    assert reasons[0] == "stalled"
    assert reasons[-1] == "recovered"
    assert "gave nothing for 1 s" in talk
    assert abs(lines.delay_s(0, before) - lines.delay_s(before)) < AWAY_S / 2


def test_interruption_while_the_driver_hangs(microphone, tiny_tflite):
    """PortAudio does not return from closing a device whose server is stopped; the command does."""
    microphone.play(noise(40.0, 30.0))
    lines = run(microphone, tiny_tflite, "--stall", "1")
    lines.wait_for(lambda: len(lines.estimates) > 3)
    microphone.freeze()
    lines.wait_for(lambda: lines.gaps)
    time.sleep(0.5)
    lines.end()


@pytest.mark.skipif(not shutil.which("arecord"), reason="needs arecord (apt install alsa-utils)")
def test_arecord_into_the_command(microphone, tiny_tflite):
    microphone.play(noise(-70.0, 30.0))
    recorder = subprocess.Popen(
        ["arecord", "-q", "-D", DEVICE, "-twav", "-fS16_LE", "-r16000", "-c4", "-d4"],
        env=microphone.environment,
        stdout=subprocess.PIPE,
    )
    microphone.processes.append(recorder)
    process = microphone.run(
        "run", "--input", "-", "--model", str(tiny_tflite), stdin=recorder.stdout
    )
    output, errors = process.communicate(timeout=HANG_S)
    assert (process.returncode, errors) == (0, "")
    estimates = [json.loads(line) for line in output.splitlines()]
    assert len(estimates) == 1 + (4 * RATE - 13_312) // 2_560
    heard = [line for line in estimates if line["level_dbfs"] > -25.0]
    assert heard
    assert distance_deg(heard[-1], -70.0) < 1.0


def test_computer_that_stands_still_loses_no_time(microphone, tiny_tflite):
    """Stopped for longer than anybody keeps sound: what was lost is found by the clock."""
    microphone.play(noise(40.0, 60.0))
    lines = run(microphone, tiny_tflite)
    lines.wait_for(lambda: len(lines.estimates) > 20)
    before = len(lines.estimates)
    lines.process.send_signal(signal.SIGSTOP)
    time.sleep(6.0)
    lines.process.send_signal(signal.SIGCONT)
    resumed_s = time.monotonic()
    # The clock looks at two whole windows before it says that something is missing.
    lines.wait_for(lambda: lines.estimates[-1][0] > resumed_s + 7.0)
    lines.end()
    settled = [
        arrived - line["time_s"] for arrived, line in lines.estimates if arrived > resumed_s + 5.0
    ]
    assert abs(min(settled) - lines.delay_s(0, before)) < 3.0
