"""A window that moved: the kept convolutions must say what those of the whole window say."""

import hashlib
import io
import itertools
import zipfile

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_edge.tflite.file import HALVES, embed_spec, read_model, read_model_file
from doa_edge.tflite.halves import Halves, SlidingNetwork

FRAMES, BINS, CHANNELS = 25, 8, 3
POOLED = (4, 2, 1)  # bins behind each of three layers
WIDTH = 2
FLATBUFFER = b"\x20\0\0\0TFL3" + bytes(range(256)) * 8
BOTH = (b"\x20\0\0\0TFL3 first", b"\x20\0\0\0TFL3 second")


def layers(seed=0):
    """Kernels of three layers, (3, from, to): over three frames, bins and channels as one."""
    rng = np.random.default_rng(seed)
    sizes = [BINS * CHANNELS, *(bins * WIDTH for bins in POOLED)]
    return [
        rng.standard_normal((3, before, after)) / np.sqrt(3 * before)
        for before, after in itertools.pairwise(sizes)
    ]


def valid(frames, kernel):
    """(T - 2, ...) one layer, no zeros beyond the ends."""
    count = len(frames) - 2
    total = sum(frames[k : k + count] @ kernel[k] for k in range(3))
    return np.tanh(total + 0.3)  # zeros in are not zeros out: the ends show


def whole(window, kernels):
    """(T, D) all layers over a window, with zeros beyond both of its ends."""
    frames = window.reshape(len(window), -1)
    for kernel in kernels:
        zero = np.zeros((1, frames.shape[1]))
        frames = valid(np.concatenate([zero, frames, zero]), kernel)
    return frames


def halves(kernels, step):
    """Layers as `doa_export.convert.halves` lays them out, and a copy as recurrence."""
    shapes = [(step + 4, BINS, CHANNELS), *((4, bins, WIDTH) for bins in POOLED[:2])]
    outputs = [(step, bins, WIDTH) for bins in POOLED[:2]] + [(step + 6, POOLED[2] * WIDTH)]

    def convolutions(levels):
        assert [level.shape for level in levels] == shapes
        flat = [level.reshape(len(level), -1) for level in levels]
        first, last, kept = flat[0][:2], flat[0][2:], []
        for number, kernel in enumerate(kernels, start=1):
            zero = np.zeros((1, first.shape[1]))
            first = valid(np.concatenate([zero, first]), kernel)
            last = valid(np.concatenate([last, zero]), kernel)
            if number < len(kernels):
                kept.append(last[:step])
                first = np.concatenate([first, flat[number][:2]])
                last = np.concatenate([flat[number][2:], last])
        given = [*kept, np.concatenate([first, last])]
        return [a.reshape(s).astype(np.float32) for a, s in zip(given, outputs, strict=True)]

    return Halves(
        convolutions=convolutions,
        recurrence=lambda heard: heard.copy(),
        shapes=tuple(shapes),
        outputs=tuple(outputs),
    )


@pytest.mark.parametrize("step", [1, 3, 5, 8])
@pytest.mark.parametrize("moves", [[1], [5], [3, 8, 1], [12], [24], [25], [60, 5], [2, 19, 5, 25]])
def test_every_frame_of_every_window_is_that_of_the_whole_network(step, moves):
    kernels = layers()
    network = SlidingNetwork(halves(kernels, step), (FRAMES, BINS, CHANNELS))
    rng = np.random.default_rng(step)
    start, moved = 0, FRAMES
    features = rng.uniform(-1, 1, (900, BINS, CHANNELS)).astype(np.float32)
    for number in range(30):
        window = features[start : start + FRAMES]
        if len(window) < FRAMES:
            break
        # Kept in float32 from layer to layer, where the whole runs in double precision.
        np.testing.assert_allclose(
            network.predict(window, moved), whole(window, kernels), atol=2e-6
        )
        moved = moves[number % len(moves)]
        start += moved


def test_streams_that_share_a_network_do_not_mix():
    kernels = layers()
    shared = halves(kernels, 5)
    rng = np.random.default_rng(8)
    streams = rng.uniform(-1, 1, (2, 60, BINS, CHANNELS)).astype(np.float32)
    networks = [SlidingNetwork(shared, (FRAMES, BINS, CHANNELS)) for _ in streams]
    for start in range(0, 35, 5):
        for network, features in zip(networks, streams, strict=True):
            window = features[start : start + FRAMES]
            outputs = network.predict(window, 5 if start else FRAMES)
            np.testing.assert_allclose(outputs, whole(window, kernels), atol=2e-6)


def test_the_comparison_can_fail():
    """A window that moved further than it says is not what the whole network hears."""
    kernels = layers()
    network = SlidingNetwork(halves(kernels, 5), (FRAMES, BINS, CHANNELS))
    features = np.random.default_rng(3).uniform(-1, 1, (60, BINS, CHANNELS)).astype(np.float32)
    network.predict(features[:FRAMES], FRAMES)
    wrong = network.predict(features[7 : 7 + FRAMES], 5)
    assert np.abs(wrong - whole(features[7 : 7 + FRAMES], kernels)).max() > 0.1


def test_halves_come_back_and_others_still_find_the_whole(tmp_path):
    spec = ModelSpec(head="cartesian")
    path = tmp_path / "model.tflite"
    path.write_bytes(embed_spec(FLATBUFFER, spec, halves=BOTH))
    assert read_model_file(path) == (FLATBUFFER, spec, BOTH)
    assert read_model(path) == (FLATBUFFER, spec)
    assert path.read_bytes().startswith(FLATBUFFER)
    # A new spec without halves drops them: they may belong to another network.
    path.write_bytes(embed_spec(path.read_bytes(), spec))
    assert read_model_file(path) == (FLATBUFFER, spec, None)


@pytest.mark.parametrize("kind", ["changed", "missing", "added"])
def test_damaged_halves_are_refused(tmp_path, kind):
    data = embed_spec(
        FLATBUFFER, ModelSpec(head="cartesian"), halves=None if kind == "added" else BOTH
    )
    buffer = io.BytesIO()
    buffer.write(FLATBUFFER)
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(buffer, "w") as after:
        for entry in before.infolist():
            content = before.read(entry)
            if entry.filename == HALVES[1]:
                if kind == "missing":
                    continue
                content = content[:-1] + b"!"
            after.writestr(entry.filename, content)
        if kind == "added":
            after.writestr(HALVES[0], BOTH[0])
    path = tmp_path / "model.tflite"
    path.write_bytes(buffer.getvalue())
    assert hashlib.sha256(path.read_bytes()).digest() != hashlib.sha256(data).digest()
    with pytest.raises(InputError, match="is damaged: the halves of the network"):
        read_model_file(path)
