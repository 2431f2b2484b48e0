"""Room impulse responses: simulated or measured, and the bank that stores them.

plan            what a room is: size, walls, talkers, positions
image_sources, diffuse_tail     its early reflections and its reverberant tail
room            both, recorded by a microphone
simulate        banks of simulated rooms
pool, cluster   running tasks by processes of this machine, or with Dask on a cluster
interrupts      Ctrl-C meanwhile
measured, sofa_rooms            banks of measured rooms, from SOFA files
sofa_channels, direct_sound     what their channels are, and whether the sound agrees
acoustics       T30, C50, DRR and diffuseness of a response
bank            the store on disk
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
