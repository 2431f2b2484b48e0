"""The device runner: a recording in, directions out. No TensorFlow.

Nothing is imported here, so that a command answers at once. The parts:

    sources     a file, a pipe or a live device as blocks and gaps
    audio       recordings of any rate and format as AmbiX blocks
    pcm         WAV and raw PCM from a pipe
    capture     a live device, opened again when it is lost
    engine      blocks in, one `Estimate` per window out
    model       a .tflite file with its spec, run by LiteRT
    model_file  the spec inside a .tflite
    cli         the command `doa_edge`
"""
