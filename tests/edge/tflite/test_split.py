"""A window that moved: the kept convolutions must say what those of the whole window say."""

import hashlib
import io
import itertools
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_edge.tflite.file import (
    FLATBUFFER_FILE_NAME,
    HALVES,
    TURNED_HALVES,
    StoredHalves,
    embed_spec,
    read_model,
    read_model_file,
)
from doa_edge.tflite.halves import Halves, SlidingNetwork
from doa_edge.tflite.heading import Turning

FRAMES, BINS, CHANNELS = 25, 8, 3
POOLED = (4, 2, 1)  # bins behind each of three layers
WIDTH = 2
FLATBUFFER = b"\x20\0\0\0TFL3" + bytes(range(256)) * 8
BOTH = StoredHalves((b"\x20\0\0\0TFL3 first", b"\x20\0\0\0TFL3 second"))
TURNED = replace(BOTH, turning=Turning(bins=(6, 128), hold_deg=45.0))


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


def turned(frames, heading):
    """(..., K) with the first two channels turned so that a heading comes to lie at azimuth 0."""
    x, y = heading
    active = np.stack(
        [x * frames[..., 0] + y * frames[..., 1], x * frames[..., 1] - y * frames[..., 0]], axis=-1
    )
    return np.concatenate([active, frames[..., 2:]], axis=-1).astype(np.float32)


def turned_halves(kernels, step, hold_deg):
    """`halves` whose features are turned first, and which gives what they were turned by."""
    plain = halves(kernels, step)

    def convolutions(levels):
        *levels, heading = levels
        return plain.convolutions([turned(levels[0], heading), *levels[1:]])

    return replace(
        plain,
        convolutions=convolutions,
        recurrence=lambda heard, heading: np.hstack([heard, np.tile(heading, (FRAMES, 1))]),
        turning=Turning(bins=(0, BINS), hold_deg=hold_deg),
    )


def places(azimuths_deg, frames=15):
    """Features whose intensity is from each azimuth in turn, for so many frames each."""
    rng = np.random.default_rng(5)
    features = rng.uniform(-0.5, 0.5, (len(azimuths_deg) * frames, BINS, CHANNELS))
    azimuth = np.radians(np.repeat(azimuths_deg, frames))
    features[..., 0] += 5.0 * np.cos(azimuth)[:, np.newaxis]
    features[..., 1] += 5.0 * np.sin(azimuth)[:, np.newaxis]
    return features.astype(np.float32)


@pytest.mark.parametrize("moves", [[1], [5], [3, 8, 1], [24, 2], [60, 5], [2, 19, 5, 25]])
@pytest.mark.parametrize("hold_deg", [0.0, 20.0, 180.0])
def test_every_frame_of_a_window_is_turned_by_the_same_heading(moves, hold_deg):
    kernels = layers()
    network = SlidingNetwork(turned_halves(kernels, 5, hold_deg), (FRAMES, BINS, CHANNELS))
    features = places([0, 10, -25, 90, 170, -170, 60, 55, 50, 20])
    start, moved, held = 0, FRAMES, 0.0
    for number in range(30):
        window = features[start : start + FRAMES]
        if len(window) < FRAMES:
            break
        outputs = network.predict(window, moved)
        heading = network.heading
        np.testing.assert_array_equal(outputs[:, WIDTH:], np.tile(heading, (FRAMES, 1)))
        np.testing.assert_allclose(
            outputs[:, :WIDTH], whole(turned(window, heading), kernels), atol=4e-6
        )
        own = np.angle(window[..., 0].sum() + 1j * window[..., 1].sum(), deg=True)
        away = abs((own - held + 180.0) % 360.0 - 180.0)
        if moved >= FRAMES or hold_deg == 0.0 or away > hold_deg:
            held = own
        np.testing.assert_allclose(
            heading, [np.cos(np.radians(held)), np.sin(np.radians(held))], atol=1e-5
        )
        moved = moves[number % len(moves)]
        start += moved


def test_a_heading_can_be_given():
    kernels = layers()
    network = SlidingNetwork(turned_halves(kernels, 5, 45.0), (FRAMES, BINS, CHANNELS))
    window = places([30, 30])[:FRAMES]
    heading = np.array([0.0, -1.0], np.float32)
    outputs = network.predict(window, FRAMES, heading)
    np.testing.assert_array_equal(outputs[:, WIDTH:], np.tile(heading, (FRAMES, 1)))
    np.testing.assert_allclose(
        outputs[:, :WIDTH], whole(turned(window, heading), kernels), atol=4e-6
    )
    assert SlidingNetwork(halves(kernels, 5), (FRAMES, BINS, CHANNELS)).heading is None


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


def test_halves_that_turn_come_back_and_older_readers_find_the_whole(tmp_path):
    spec = ModelSpec(head="cartesian")
    path = tmp_path / "model.tflite"
    path.write_bytes(embed_spec(FLATBUFFER, spec, halves=TURNED))
    assert read_model_file(path) == (FLATBUFFER, spec, TURNED)
    with zipfile.ZipFile(path) as archive:
        # What those of 0.1 look for: they would turn nothing, and must not take these.
        assert not set(HALVES) & set(archive.namelist())
        assert "halves_sha256" not in json.loads(archive.read(FLATBUFFER_FILE_NAME))


def with_facts(change, names=TURNED_HALVES):
    """A file with halves that turn, and other facts of them."""
    buffer = io.BytesIO()
    buffer.write(FLATBUFFER)
    data = embed_spec(FLATBUFFER, ModelSpec(head="cartesian"), halves=TURNED)
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(buffer, "w") as after:
        for entry in before.infolist():
            content, name = before.read(entry), entry.filename
            if name == FLATBUFFER_FILE_NAME:
                facts = json.loads(content)
                change(facts)
                content = json.dumps(facts)
            after.writestr(dict(zip(TURNED_HALVES, names, strict=True)).get(name, name), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("bins", [6, 514], r"`bins` must end within the 513 of the features. Received: \(6, 514\)"),
        ("bins", [7, 7], r"`bins` must be two integers, the first smaller. Received: \(7, 7\)"),
        ("bins", [-1, 7], r"two integers.*Received: \(-1, 7\)"),
        ("bins", [True, 7], r"two integers.*Received: \(True, 7\)"),
        ("bins", [6, 128.0], r"two integers.*Received: \(6, 128.0\)"),
        ("bins", [6], r"must be a list of two integers. Received: \[6\]"),
        ("bins", "6-128", r"must be a list of two integers. Received: '6-128'"),
        ("hold_deg", -1, "`hold_deg` must lie between 0 and 180. Received: hold_deg=-1"),
        ("hold_deg", 180.5, "between 0 and 180. Received: hold_deg=180.5"),
        ("hold_deg", "45", "between 0 and 180. Received: hold_deg='45'"),
        ("hold_deg", True, "between 0 and 180. Received: hold_deg=True"),
        ("more", 1, "must have the keys bins and hold_deg. Received: .*'more': 1"),
    ],
)
def test_halves_that_turn_in_no_known_way_are_refused(tmp_path, key, value, message):
    path = tmp_path / "model.tflite"
    path.write_bytes(with_facts(lambda facts: facts["turned_halves"].update({key: value})))
    with pytest.raises(InputError, match=message) as error:
        read_model_file(path)
    assert str(error.value).startswith(f"{path} does not say how its halves are turned: ")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda facts: facts.pop("turned_halves"), TURNED_HALVES),
        (lambda facts: facts.update(turned_halves=1), TURNED_HALVES),
        (lambda facts: facts["turned_halves"].pop("sha256"), TURNED_HALVES),
        (lambda facts: facts["turned_halves"].update(sha256=["a", "b"]), TURNED_HALVES),
        (lambda facts: facts.update(halves_sha256=["a", "b"]), TURNED_HALVES),
        (lambda facts: None, HALVES),
        (lambda facts: None, (HALVES[0], TURNED_HALVES[1])),
    ],
)
def test_damaged_halves_that_turn_are_refused(tmp_path, change, names):
    path = tmp_path / "model.tflite"
    path.write_bytes(with_facts(change, names))
    with pytest.raises(InputError, match="is damaged: the halves of the network"):
        read_model_file(path)


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
            after.writestr(HALVES[0], BOTH.parts[0])
    path = tmp_path / "model.tflite"
    path.write_bytes(buffer.getvalue())
    assert hashlib.sha256(path.read_bytes()).digest() != hashlib.sha256(data).digest()
    with pytest.raises(InputError, match="is damaged: the halves of the network"):
        read_model_file(path)
