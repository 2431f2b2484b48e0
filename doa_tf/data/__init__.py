"""What a network is fed: features and directions, as `tf.data` pipelines and arrays."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
