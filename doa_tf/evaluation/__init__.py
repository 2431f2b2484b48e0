"""How good a model is: errors with intervals, comparisons, pictures, calibration."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
