"""Listening, judged with plane waves: a beam that follows gives back the voice that was encoded."""

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave, steering_vector
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.estimate import Estimate, Talker
from doa_edge.input.stream import Gap
from doa_edge.listening import TalkerListener
from tests.edge.conftest import unit_vector

RATE = 16_000
STEP = 2560  # samples between estimates


def talker(id, azimuth_deg, *, tentative=False, confidence=0.9):
    return Talker(
        id=id,
        slot=1 + id % 4,
        azimuth_deg=azimuth_deg,
        elevation_deg=0.0,
        confidence=confidence,
        tentative=tentative,
    )


def estimate(end, sound, *talkers, of_s=None):
    """An estimate with `sound` that ends at the sample `end`."""
    top = talkers[0] if talkers else talker(0, 0.0)
    return Estimate(
        time_s=end / RATE,
        azimuth_deg=top.azimuth_deg,
        elevation_deg=0.0,
        confidence=top.confidence,
        active=bool(talkers),
        level_dbfs=-20.0,
        of_s=end / RATE if of_s is None else of_s,
        talkers=talkers,
        audio=sound.astype(np.float32),
    )


def listen(scene, reports, **options):
    """All stretches of a scene of which every STEP samples are reported."""
    listener = TalkerListener(sample_rate=RATE, **options)
    voices = []
    for number, talkers in enumerate(reports):
        end = (number + 1) * STEP
        voices += listener.push(estimate(end, scene[end - STEP : end], *talkers))
    return voices + listener.finish()


def laid_out(voices, id, length):
    """(N,) the sound of a talker in stream time."""
    sound = np.zeros(length)
    for voice in voices:
        if voice.id == id:
            sound[voice.start : voice.start + len(voice.samples)] += voice.samples
    return sound


def noise(steps, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(steps * STEP)


def test_two_talkers_are_told_apart():
    dry = [noise(12, seed) for seed in (0, 1)]
    azimuths = (30.0, -50.0)
    scene = sum(
        encode_plane_wave(voice, unit_vector(azimuth, 0.0))
        for voice, azimuth in zip(dry, azimuths, strict=True)
    )
    reports = [(talker(1, azimuths[0]), talker(2, azimuths[1]))] * 12
    voices = listen(scene, reports)
    for id in (1, 2):
        heard = laid_out(voices, id, len(scene))
        np.testing.assert_allclose(heard, dry[id - 1], atol=1e-6)  # float32


def test_stretches_of_a_talker_follow_one_another():
    voices = listen(np.zeros((12 * STEP, 4)), [(talker(1, 0.0), talker(2, 90.0))] * 12)
    for id in (1, 2):
        ends = [0]
        for voice in voices:
            if voice.id == id:
                assert voice.start == ends[-1]
                assert voice.samples.dtype == np.float32
                ends.append(voice.start + len(voice.samples))
        assert ends[-1] == 12 * STEP


def test_a_voice_is_heard_before_its_first_report_and_after_its_last():
    dry = noise(30)
    scene = encode_plane_wave(dry, unit_vector(60.0, 0.0))
    reports = [(talker(7, 60.0),) if 10 <= number < 20 else () for number in range(30)]
    heard = laid_out(listen(scene, reports), 7, len(scene))
    # Moments are the ends of steps; the first report is that of step 10, the last of step 19.
    first, last = 11 * STEP, 20 * STEP
    full = slice(first - 3 * STEP, last + 3 * STEP)  # 0.48 s: 0.5 s would be inside a step
    np.testing.assert_allclose(heard[full], dry[full], atol=1e-6)
    assert not heard[: first - 4 * STEP].any()
    assert not heard[last + 4 * STEP :].any()
    fade = slice(first - 4 * STEP, first - 3 * STEP)  # linear from nothing
    np.testing.assert_allclose(heard[fade], dry[fade] * np.arange(1, STEP + 1) / STEP, atol=1e-6)


def test_nothing_clicks_while_talkers_move_come_and_go():
    time = np.arange(40 * STEP) / RATE
    tone = 0.5 * np.sin(2.0 * np.pi * 100.0 * time)
    scene = encode_plane_wave(tone, unit_vector(0.0, 0.0))
    reports = []
    for number in range(40):
        others = [talker(2, 120.0 - 2.0 * number)] if 10 <= number < 30 else []
        reports.append((talker(1, 3.0 * number), *others) if 5 <= number < 35 else tuple(others))
    heard = laid_out(listen(scene, reports), 1, len(scene))
    # Of a beam with a noise gain of 0 dB at most, responses are -2 to 2 (Cauchy and Schwarz), and
    # change by at most 4 in 2560 samples; a tone of 100 Hz changes by 4 % of its peak in one.
    assert np.max(np.abs(np.diff(heard))) < 0.5 * (2 * 0.04 + 4 / STEP)
    assert np.max(np.abs(heard)) > 0.4


def test_the_beam_follows_a_walker():
    steps, turn_deg = 30, 6.0  # 37 degrees a second
    dry = noise(steps)
    azimuths = turn_deg * np.arange(1, len(dry) + 1) / STEP
    scene = dry[:, None] * steering_vector(unit_vector(azimuths, np.zeros(len(dry))))
    reports = [(talker(1, turn_deg * (number + 1)),) for number in range(steps)]
    heard = laid_out(listen(scene, reports), 1, len(scene))[2 * STEP :]
    # Between two directions the response is that of the mean of their weights: within 0.1 %.
    np.testing.assert_allclose(heard, dry[2 * STEP :], atol=1.5e-3 * np.abs(dry).max())


def test_directions_count_at_the_moment_that_they_are_of():
    dry = noise(20)
    azimuth = np.where(np.arange(len(dry)) < 10 * STEP, 90.0, -90.0)
    scene = dry[:, None] * steering_vector(unit_vector(azimuth, np.zeros(len(dry))))
    listener, voices = TalkerListener(sample_rate=RATE), []
    for number in range(20):
        end = (number + 1) * STEP
        of = end - 4 * STEP  # before the stream for the first few
        who = talker(1, 90.0 if of < 10 * STEP else -90.0)
        voices += listener.push(estimate(end, scene[end - STEP : end], who, of_s=of / RATE))
    heard = laid_out(voices + listener.finish(), 1, len(scene))
    right = np.ones(len(dry), bool)
    right[9 * STEP : 10 * STEP] = False  # where one direction becomes the other
    np.testing.assert_allclose(heard[right], dry[right], atol=1e-6)


def test_who_is_tentative_waits_and_then_has_all():
    dry = noise(20)
    scene = encode_plane_wave(dry, unit_vector(0.0, 0.0))
    listener = TalkerListener(sample_rate=RATE)
    released = []
    for number in range(20):
        end = (number + 1) * STEP
        who = talker(5, 0.0, tentative=number < 12)
        released.append(listener.push(estimate(end, scene[end - STEP : end], who)))
    assert not any(released[:12])
    heard = laid_out([v for voices in released for v in voices] + listener.finish(), 5, len(dry))
    np.testing.assert_allclose(heard, dry, atol=1e-6)


def test_who_is_never_confirmed_is_never_heard():
    scene = encode_plane_wave(noise(60), unit_vector(0.0, 0.0))
    ghosts = [(talker(1 + number // 5, 0.0, tentative=True),) for number in range(60)]
    assert listen(scene, ghosts) == []


def test_no_more_waits_than_five_seconds():
    steps = 80  # 12.8 s
    reports = [(talker(1, 0.0, tentative=number < steps - 1),) for number in range(steps)]
    voices = listen(encode_plane_wave(noise(steps), unit_vector(0.0, 0.0)), reports)
    length = steps * STEP - voices[0].start
    assert 5.0 * RATE <= length <= 6.0 * RATE


def test_talkers_that_meet_are_both_heard():
    dry = noise(12)
    scene = encode_plane_wave(dry, unit_vector(20.0, 0.0))
    voices = listen(scene, [(talker(1, 20.0), talker(2, 20.0))] * 12)
    for id in (1, 2):
        np.testing.assert_allclose(laid_out(voices, id, len(scene)), dry, atol=1e-6)


def test_a_fourth_talker_has_a_beam_too():
    azimuths = [0.0, 90.0, 180.0, -90.0]
    dry = [noise(12, seed) for seed in range(4)]
    scene = sum(
        encode_plane_wave(voice, unit_vector(azimuth, 0.0))
        for voice, azimuth in zip(dry, azimuths, strict=True)
    )
    confidences = (0.9, 0.8, 0.7, 0.6)
    who = tuple(
        talker(id, azimuth, confidence=confidence)
        for id, (azimuth, confidence) in enumerate(zip(azimuths, confidences, strict=True), start=1)
    )
    voices = listen(scene, [who] * 12)
    # Nulls at the two of the highest confidence; the third is where the hypercardioid has it.
    heard = laid_out(voices, 4, len(scene))
    left = np.linalg.lstsq(np.stack(dry, axis=-1), heard, rcond=None)[0]
    assert left[3] == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(left[:2], 0.0, atol=1e-5)


def test_nobody_is_heard_in_a_gap():
    dry = noise(20)
    scene = encode_plane_wave(dry, unit_vector(0.0, 0.0))
    listener, voices = TalkerListener(sample_rate=RATE), []
    for number in (*range(8), *range(12, 20)):
        end = (number + 1) * STEP
        voices += listener.push(estimate(end, scene[end - STEP : end], talker(1, 0.0)))
    heard = laid_out(voices + listener.finish(), 1, len(dry))
    gap = slice(8 * STEP, 12 * STEP)
    np.testing.assert_allclose(heard[: gap.start], dry[: gap.start], atol=1e-6)
    np.testing.assert_allclose(heard[gap.stop :], dry[gap.stop :], atol=1e-6)
    assert not heard[gap].any()


def test_it_forgets_who_is_gone():
    listener = TalkerListener(sample_rate=RATE)
    sound = np.zeros((STEP, 4))
    for number in range(1000):
        who = talker(number, 0.0, tentative=number % 2 == 0)
        listener.push(estimate((number + 1) * STEP, sound, who))
    kept = (listener._moments, listener._confirmed, listener._waiting)
    assert all(len(values) < 40 for values in kept)
    assert len(listener._sound) < RATE


def test_bad_estimates_are_refused():
    listener = TalkerListener(sample_rate=RATE)
    sound = np.zeros((STEP, 4))
    listener.push(estimate(STEP, sound))
    with pytest.raises(ValueError, match="must hold sound from where the last one ended"):
        listener.push(estimate(STEP, sound))
    with pytest.raises(ValueError, match="must carry audio"):
        listener.push(Estimate(**{**vars(estimate(2 * STEP, sound)), "audio": None}))


@pytest.mark.parametrize("block", [1000, 16_000])
def test_the_engine_gives_arrays(plane_wave, intensity_model, block):
    scene = plane_wave(40.0, 10.0, seconds=3.0)
    engine = DirectionEngine(intensity_model, EngineSettings(keep_voices=True))
    estimates = list(engine.run(np.split(scene, range(block, len(scene), block))))
    plain = list(DirectionEngine(intensity_model).run([scene]))
    assert estimates == plain
    voices = [voice for each in estimates for voice in each.voices]
    end = round(estimates[-1].time_s * RATE)  # what is behind the last estimate is not heard
    heard = laid_out(voices, 1, len(scene))
    np.testing.assert_allclose(heard[:end], scene[:end, 0], atol=1e-4)  # float32 and 0.01 degrees
    assert all(each.voices is None for each in plain)


def test_the_engine_counts_gaps_as_silence(plane_wave, intensity_model):
    scene = plane_wave(40.0, 10.0, seconds=2.0)
    engine = DirectionEngine(intensity_model, EngineSettings(keep_voices=True))
    items = [scene, Gap(samples=4000, reason="lost"), scene]
    voices = [voice for each in engine.run(items) for voice in each.voices]
    heard = laid_out(voices, 1, 2 * len(scene) + 4000)
    second = len(scene) + 4000
    np.testing.assert_allclose(heard[second:][:16_000], scene[:16_000, 0], atol=1e-4)
    assert not heard[len(scene) : second].any()


def test_a_lead_of_directions_does_not_move_who_talked_when():
    scene = encode_plane_wave(noise(20), unit_vector(40, 0))
    led = TalkerListener(sample_rate=RATE, lead_s=0.4)
    plain = TalkerListener(sample_rate=RATE)
    found = []
    for listener, lead_s in ((plain, 0.0), (led, 0.4)):
        voices = []
        for number in range(20):
            end = (number + 1) * STEP
            talkers = (talker(1, 40),) if 5 <= number < 15 else ()
            of_s = end / RATE - 0.416 + lead_s
            part = scene[end - STEP : end]
            voices += listener.push(estimate(end, part, *talkers, of_s=of_s))
        found.append([(each.start, len(each.samples)) for each in voices + listener.finish()])
    assert found[0] == found[1] != []
