"""The device runner: sound in, directions out. No TensorFlow.

    from doa_edge import DirectionEngine, TfliteModel, default_model_path, read_blocks

    engine = DirectionEngine(TfliteModel(default_model_path()))
    for estimate in engine.run(read_blocks("recording.wav")):
        print(estimate.azimuth_deg, estimate.elevation_deg)

Nothing is imported before it is used, so that a command answers at once. The sub-packages:

    input       a file, a pipe or a live device as blocks and gaps
    engine      blocks in, one `Estimate` a window out; activity, smoother, recording beside it
    tracking    who talks, from one estimate to the next
    zones       named areas, and who is in them
    tflite      a .tflite file with its spec, run by LiteRT
    wall_clock  from stream time to the time of day
    sinks       where directions go
    options     options of the command line and of configuration files
    commands    `doa_edge`, a file a verb
    models      the networks that come with the package
"""

from __future__ import annotations

import importlib

# By hand and not by lazy_loader, as in the other packages: a board that installs the wheel without
# its dependencies (edge/install.md, 32-bit) needs numpy and nothing else.
_HOMES = {
    "DirectionEngine": "engine",
    "EngineSettings": "engine_settings",
    "Estimate": "estimate",
    "Gap": "input.stream",
    "InputFormat": "input.format",
    "Talker": "estimate",
    "TfliteModel": "tflite.network",
    "Zone": "zones.zone",
    "default_model_path": "tflite.network",
    "open_source": "input.sources",
    "read_blocks": "input.audio",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
