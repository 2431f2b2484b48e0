"""Talkers in rooms, mixed from drawn numbers, and the folder format that every evaluation reads.

draw, mixer     what a scene is made of, and its waveform
recordings, noise, convolution, speaker_split   what is heard in it
folder, render  scenes as files with labels.csv
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
