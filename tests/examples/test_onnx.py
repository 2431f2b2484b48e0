"""Keras's own exporter to ONNX keeps the answers, as docs/other-runtimes.md says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from doa_core.angles import great_circle_distance
from doa_core.highpass import highpass
from tests.places import PROJECT

from .conftest import RECORDINGS

PAGE = PROJECT / "docs" / "other-runtimes.md"
# Keras's copy of what calls tf2onnx asks numpy for a name that it no longer has.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:In the future `np.object`")]


def test_the_answers_are_the_checkpoints(tmp_path, monkeypatch):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    soundfile = pytest.importorskip("soundfile")
    from doa_tf.models import load_scoring_model

    text = PAGE.read_text(encoding="utf-8")
    (commands,) = re.findall(r"```python\n(.*?onnx.*?)```", text, flags=re.DOTALL)
    checkpoint = PROJECT / "edge" / "doa_edge" / "models" / "default.keras"
    monkeypatch.chdir(tmp_path)
    exec(commands.replace("edge/doa_edge/models/default.keras", str(checkpoint)), {})
    session = onnxruntime.InferenceSession("default.onnx")
    model, spec = load_scoring_model(checkpoint)
    features = spec.features
    angles_deg = []
    for recording in RECORDINGS:
        sound, rate = soundfile.read(recording, dtype="float32")
        sound = highpass(sound, cutoff_hz=spec.highpass_hz, sample_rate=rate)
        starts = range(0, len(sound) - features.samples + 1, 20 * features.hop)
        windows = np.stack(
            [features.compute(sound[start : start + features.samples]) for start in starts]
        )
        name = session.get_inputs()[0].name
        outputs = [session.run(None, {name: window[np.newaxis]})[0][0] for window in windows]
        sides = (np.stack(outputs), np.asarray(model.predict_on_batch(windows)))
        answers = [spec.directions(side)[0] for side in sides]
        angles_deg += np.degrees(great_circle_distance(*answers)).tolist()
    assert len(angles_deg) > 30
    assert max(angles_deg) < 0.01
