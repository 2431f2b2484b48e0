"""Scenes: talkers in rooms with noise, mixed, and the folder format that every evaluation reads.

draw, mixer         the random choices of a scene, and its waveform
recordings, speaker_split       speech and recorded noise
noise, convolution  synthetic noise, diffuse fields; convolution with room responses
folder, labels      scenes as files with labels.csv
render              mixed scenes written to such a folder
plot                a picture of such a folder
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
