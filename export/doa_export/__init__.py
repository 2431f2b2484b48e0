"""Keras checkpoints to verified TFLite files.

`export_model` does what the command `doa_export` does.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
