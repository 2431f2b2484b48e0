import tracemalloc
import warnings

import numpy as np
import pytest

from doa_core.stft import StreamingStft, frame_count, samples_of_frames, sine_window, stft

# float32 has 6e-8; a transform of 1024 samples near 1, whose bins are near 25, rounds ten times.
TRANSFORM = 5e-5


@pytest.fixture
def signal(rng):
    """(N, C) noise: 30 frames and a rest."""
    return rng.standard_normal((16_000, 4)).astype(np.float32)


def test_a_window_of_the_network_is_13312_samples():
    assert samples_of_frames(25) == 13_312
    assert frame_count(13_312) == 25
    assert frame_count(13_311) == 24
    assert frame_count(13_312 + 511) == 25
    assert frame_count(13_312 + 512) == 26


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 0), (1023, 0), (1024, 1), (1536, 2)])
def test_only_whole_frames_count(samples, frames):
    assert frame_count(samples) == frames
    assert stft(np.zeros((samples, 4), np.float32)).shape == (frames, 513, 4)


def test_window_is_a_sine_whose_overlapping_squares_sum_to_one():
    window = sine_window()
    n = np.arange(1024)
    np.testing.assert_allclose(window, np.sin(np.pi * (n + 0.5) / 1024), atol=1e-7)  # float32
    np.testing.assert_allclose(window[:512] ** 2 + window[512:] ** 2, 1.0, atol=1e-6)
    assert window.dtype == np.float32


def test_against_a_direct_transform_in_double_precision(signal):
    n = np.arange(1024)
    fourier = np.exp(-2j * np.pi * np.outer(np.arange(513), n) / 1024)
    frames = [signal[512 * t : 512 * t + 1024].astype(float) for t in range(30)]
    windowed = np.sin(np.pi * (n + 0.5) / 1024)[:, np.newaxis] * frames
    np.testing.assert_allclose(stft(signal), fourier @ windowed, atol=TRANSFORM)


def test_a_tone_is_in_its_bin():
    time = np.arange(16_000) / 16_000
    tone = np.cos(2 * np.pi * 1000.0 * time)[:, np.newaxis]  # bin 64 of 15.625 Hz
    power = np.abs(stft(tone)[..., 0]) ** 2
    np.testing.assert_array_equal(power.argmax(axis=-1), 64)
    # The sum of the window is 1024 * 2 / pi; half of the cosine is at the positive frequency.
    np.testing.assert_allclose(np.sqrt(power[:, 64]), 1024 / np.pi, rtol=1e-4)


def test_leading_axes_and_channels_are_independent(rng):
    signals = rng.standard_normal((2, 3, 2000, 5)).astype(np.float32)
    transform = stft(signals)
    assert transform.shape == (2, 3, 2, 513, 5)
    np.testing.assert_array_equal(transform[1, 2, :, :, 4], stft(signals[1, 2, :, 4:])[..., 0])


def test_other_windows_and_hops(rng):
    signal = rng.standard_normal((1000, 1))
    transform = stft(signal, window_length=64, hop=16)
    assert transform.shape == (1 + (1000 - 64) // 16, 33, 1)
    frame = signal[16 * 5 : 16 * 5 + 64, 0] * np.sin(np.pi * (np.arange(64) + 0.5) / 64)
    np.testing.assert_allclose(transform[5, :, 0], np.fft.rfft(frame), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_transform_is_single_precision(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert stft(np.ones((1024, 4), dtype)).dtype == np.complex64
        assert stft(np.ones((10, 4), dtype)).dtype == np.complex64
        assert StreamingStft().push(np.ones((1024, 4), dtype)).dtype == np.complex64


def block_sizes(name, total, rng):
    if name == "random":
        sizes = rng.choice([0, 1, 7, 160, 511, 512, 513, 1023, 1024, 1025, 3000], 200)
    else:
        sizes = np.full(1 + total // name, name)
    ends = np.minimum(np.cumsum(sizes), total)
    return np.diff(ends, prepend=0)


@pytest.mark.parametrize("size", ["random", 1, 333, 512, 1023, 1024, 1025, 5000, 20_000])
def test_streaming_equals_batch(size, signal, rng):
    stream = StreamingStft()
    sizes = block_sizes(size, len(signal), rng)
    assert sizes.sum() == len(signal)
    blocks = np.split(signal, np.cumsum(sizes)[:-1])
    frames = np.concatenate([stream.push(block) for block in blocks])
    # The same operations on the same numbers: equal to the last bit.
    np.testing.assert_array_equal(frames, stft(signal))


@pytest.mark.parametrize("hop", [1, 100, 1024])
def test_streaming_equals_batch_for_other_hops(hop, signal):
    signal = signal[:3000]
    stream = StreamingStft(hop=hop)
    frames = np.concatenate([stream.push(block) for block in np.split(signal, [0, 5, 700, 2500])])
    np.testing.assert_array_equal(frames, stft(signal, hop=hop))


def test_frames_come_as_soon_as_they_are_complete(signal):
    stream = StreamingStft()
    counts = [len(stream.push(signal[i : i + 256])) for i in range(0, 2560, 256)]
    assert counts == [0, 0, 0, 1, 0, 1, 0, 1, 0, 1]


def test_reset_forgets_the_past(signal):
    stream = StreamingStft()
    stream.push(signal[5000:5900])
    stream.reset()
    np.testing.assert_array_equal(stream.push(signal), stft(signal))


def test_a_stream_keeps_its_own_copy(signal):
    stream = StreamingStft()
    buffer = signal[:700].copy()  # as an audio driver does, which then reuses it
    stream.push(buffer)
    buffer[:] = np.nan
    np.testing.assert_array_equal(stream.push(signal[700:1024]), stft(signal[:1024]))


def test_a_stream_keeps_less_than_a_window():
    stream = StreamingStft()
    block = np.zeros((100_000, 4), np.float32)
    stream.push(block)  # fills the caches
    tracemalloc.start()
    try:
        for _ in range(3):
            stream.push(block)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # 1023 samples of 4 channels of 4 bytes, and a few Python objects; the block has 1.6 MB.
    assert kept < 1024 * 4 * 4 + 10_000


def test_a_bad_block_leaves_the_stream_as_it_was(signal):
    stream = StreamingStft()
    stream.push(signal[:700])
    for wrong in (np.zeros((10, 2)), np.zeros(10), np.zeros((1, 10, 4))):
        with pytest.raises(ValueError, match=r"`block` must be \(samples, 4\).*block\.shape="):
            stream.push(wrong)
    np.testing.assert_array_equal(stream.push(signal[700:1024]), stft(signal[:1024]))


def test_a_bad_sample_spoils_its_own_frames_only(signal):
    signal = signal.copy()
    signal[2000] = np.nan
    bad = np.isnan(stft(signal)).any(axis=(1, 2))
    assert np.flatnonzero(bad).tolist() == [2, 3]  # 1024..2047 and 1536..2559


@pytest.mark.parametrize("hop", [0, -1, 1025])
def test_a_stream_cannot_skip_samples(hop):
    with pytest.raises(ValueError, match="`hop` must lie between 1 and `window_length`"):
        StreamingStft(hop=hop)


def test_signals_need_a_channel_axis():
    with pytest.raises(ValueError, match=r"`signal` must be \(..., samples, channels\).*\(1024,\)"):
        stft(np.zeros(1024))
