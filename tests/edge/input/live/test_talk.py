"""Lines of PortAudio and ALSA are kept from standard error; all others pass."""

import os
import subprocess
import sys

from doa_edge.input.live.capture import DeviceSource
from doa_edge.input.live.portaudio import quiet_descriptor
from doa_edge.input.live.talk import without_talk
from tests.edge import fake_sounddevice as fake
from tests.edge.conftest import no_descriptor_left
from tests.processes import descriptors

# As PortAudio 19.7 writes when a microphone goes.
LOSS = (
    b"Expression 'alsa_snd_pcm_poll_descriptors_revents( self->pcm, pfds, self->nfds, &revents )' "
    b"failed in 'src/hostapi/alsa/pa_linux_alsa.c', line: 3665\n"
    b"Expression 'PaAlsaStream_WaitForFrames( stream, &framesAvail, &xrun )' failed in "
    b"'src/hostapi/alsa/pa_linux_alsa.c', line: 4285\n"
    b"ALSA lib pcm_hw.c:1829:(_snd_pcm_hw_open) Invalid value for card\n"
)


def test_other_lines_pass_in_their_order(capfd):
    with without_talk():
        os.write(2, b"doa_edge: one\n" + LOSS + b"doa_edge: tw")
        os.write(2, b"o\n" + LOSS[:30])
        os.write(2, LOSS[30:] + b"doa_edge: what ALSA lib says\nno end")
    os.write(2, b"\n" + LOSS)
    told = "doa_edge: one\ndoa_edge: two\ndoa_edge: what ALSA lib says\nno end\n"
    assert capfd.readouterr().err == told + LOSS.decode()


def test_without_a_descriptor_nothing_is_kept_back(capfd):
    with no_descriptor_left(), without_talk(), quiet_descriptor():
        os.write(2, LOSS)
    assert capfd.readouterr().err == LOSS.decode()


def test_without_a_standard_error_nothing_is_done():
    program = (
        "import os\nfrom doa_edge.input.live.talk import without_talk\n"
        "with without_talk():\n    print(len(os.listdir('/proc/self/fd')))\n"
        "print(len(os.listdir('/proc/self/fd')))"
    )
    closed = lambda: os.close(2)  # noqa: E731
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, preexec_fn=closed, check=True
    )
    inside, outside = done.stdout.split()
    assert inside == outside


def test_a_device_is_quiet_while_it_is_open(monkeypatch, capfd):
    fake.install(monkeypatch, **{"Ambi Mic": (4, (16_000,), None)})
    before = descriptors(os.readlink("/proc/self/fd/2"))
    with DeviceSource():
        os.write(2, LOSS + b"doa_edge: Ambi Mic is gone\n")
    assert capfd.readouterr().err == "doa_edge: Ambi Mic is gone\n"
    assert descriptors(os.readlink("/proc/self/fd/2")) == before
