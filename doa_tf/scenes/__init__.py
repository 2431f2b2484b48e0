"""Scenes: talkers in rooms with noise, mixed, and the folder format that every evaluation reads.

draw, mixer         the random choices of a scene, and its waveform
recordings, speaker_split       speech and recorded noise
noise, convolution  synthetic noise, diffuse fields; convolution with room responses
scene, labels, folder           scenes as files with labels.csv
render, rows        mixed scenes written to such a folder
sessions            recordings of any length: meetings, talkers who walk
plot                a picture of such a folder
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
