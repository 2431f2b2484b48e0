"""What a network is fed: features and directions, as `tf.data` pipelines and arrays.

pipeline        scenes mixed while the network trains
cache           features of mixed scenes on disk
recorded        recordings of one's own
validation      a folder of scenes as arrays
targets         what directions must be to be trained on
features        from waveforms to features
augment         rotations and mirror images
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
