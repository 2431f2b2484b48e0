"""Keras checkpoints to verified TFLite files.

    from doa_export import ExportSettings, export_model

    export_model("run/model.keras", "model.tflite", ExportSettings(quantize="dynamic"))

settings, budget   what is asked for
convert            from Keras to a flatbuffer, in a process of its own
judge, windows     whether the file still points where the checkpoint does
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
