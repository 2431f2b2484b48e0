"""How good a model is where several people talk, or nobody: windows, and whole recordings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
