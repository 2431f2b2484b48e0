"""Public data sets as they are published, read without copying their sound.

layouts             which of them a folder is
dcase               STARSS22, STARSS23, TAU-NIGENS Spatial Sound Events 2020 and 2021
l3das, spatial_librispeech, locata      the others
reading             what a reader is asked for, and what it gives
frames              labels of 100 ms joined into stretches of speech
eigenmike           32 capsules on a sphere to AmbiX, block by block
"""
