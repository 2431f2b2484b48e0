"""The device runner: sound in, directions out. No TensorFlow.

    from doa_edge import DirectionEngine, TfliteModel, default_model_path, read_blocks

    engine = DirectionEngine(TfliteModel(default_model_path()))
    for estimate in engine.run(read_blocks("recording.wav")):
        print(estimate.azimuth_deg, estimate.elevation_deg)

Nothing is imported before it is used, so that a command answers at once. The rooms:

    input       a file, a pipe or a live device as blocks and gaps
    engine      blocks in, one `Estimate` a window out; activity, smoother, recording beside it
    tflite      a .tflite file with its spec, run by LiteRT
    sinks       where directions go
    options     options of the command line and of configuration files
    commands    `doa_edge`, a file a verb
    models      the networks that are shipped
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
