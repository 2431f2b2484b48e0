"""A microphone through real PortAudio, with receivers that misbehave and services that end it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.edge import virtual_microphone
from tests.places import DEMO
from tests.processes import HANG_S, wait_until

RUN = [sys.executable, "-m", "doa_edge", "run"]
OFFICE = DEMO / "recordings" / "office.wav"


@pytest.fixture
def microphone(tmp_path_factory):
    if missing := virtual_microphone.missing():
        pytest.skip(missing)
    opened = virtual_microphone.VirtualMicrophone(tmp_path_factory.mktemp("microphone"))
    yield opened
    opened.stop()


@pytest.fixture
def office():
    soundfile = pytest.importorskip("soundfile")
    soxr = pytest.importorskip("soxr")
    samples, rate = soundfile.read(OFFICE)
    return soxr.resample(samples, rate, 16_000)


def start(microphone, *arguments, **settings):
    environment = {**microphone.environment, **settings.pop("environment", {})}
    process = subprocess.Popen(
        [*RUN, "--device", virtual_microphone.DEVICE, *map(str, arguments)],
        env=environment,
        stdout=settings.pop("stdout", subprocess.DEVNULL),
        stderr=subprocess.PIPE,
        bufsize=0,
        **settings,
    )
    microphone.processes.append(process)
    return process


def lines(path):
    text = path.read_text() if path.exists() else ""
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_receivers_that_take_nothing_do_not_delay_the_sound(microphone, office, tmp_path):
    out = tmp_path / "track.jsonl"
    read_end, write_end = os.pipe()  # a reader of standard output that never reads
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    deaf = socket.create_server(("127.0.0.1", 0))  # one that never accepts
    process = start(
        microphone, "--every", "1", "--out", out, "--osc", "127.0.0.1:9", "--mqtt", "127.0.0.1:9",
        "--tcp-connect", f"127.0.0.1:{deaf.getsockname()[1]}", "--tcp", "0", stdout=write_end,
    )  # fmt: skip
    assert wait_until(lambda: len(lines(out)) > 0)
    microphone.play(office[: 5 * 16_000])
    first = lines(out)[-1]["time_s"]
    # The stream goes on and nothing of it is missing, though the pipe is long full.
    assert wait_until(lambda: lines(out)[-1]["time_s"] > first + 5.0)
    heard = lines(out)
    assert [line for line in heard if line.get("reason")] == []
    assert any(line.get("active") for line in heard)
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANG_S) == 143
    error = process.stderr.read().decode()
    assert "--mqtt missed" in error
    assert "Traceback" not in error
    lines(out)
    for descriptor in (read_end, write_end):
        os.close(descriptor)
    deaf.close()


@pytest.mark.slow
def test_a_service_whose_microphone_is_unplugged_stays_alive_and_ends_cleanly(microphone, tmp_path):
    path = tmp_path / "notify"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(path))
    manager.settimeout(HANG_S)
    out = tmp_path / "track.jsonl"
    settings = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1500000"}
    process = start(microphone, "--out", out, environment=settings)
    assert (
        manager.recv(4096).decode() == f"READY=1\nSTATUS=listening to {virtual_microphone.DEVICE}"
    )
    assert wait_until(lambda: len(lines(out)) > 2)
    microphone.unplug()
    assert wait_until(lambda: any(line.get("event") == "gap" for line in lines(out)))
    drain(manager)
    fed = []
    assert wait_until(lambda: fed.extend(drain(manager)) or fed.count("WATCHDOG=1") >= 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANG_S) == 143
    assert drain(manager)[-1] == "STOPPING=1"
    assert all(line["lost_s"] >= 0.0 for line in lines(out) if "event" in line)
    manager.close()


def drain(manager):
    """Datagrams that have come."""
    manager.setblocking(False)
    heard = []
    try:
        while True:
            heard.append(manager.recv(4096).decode())
    except BlockingIOError:
        return heard
