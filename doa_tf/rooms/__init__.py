"""Room impulse responses: drawn and simulated, measured, and the bank that stores them.

plan            what a room is: size, walls, talkers, places
image_sources, diffuse_tail     its early reflections and its tail
room            the two together, heard by a microphone
simulate        many rooms, by processes or a Dask cluster
measured, sofa_rooms            rooms from SOFA files
acoustics       what is measured of a response: T30, C50, DRR
bank            the store on disk
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
