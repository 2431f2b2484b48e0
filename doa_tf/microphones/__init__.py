"""How a sound field becomes four channels: ideal, tetrahedral, rigid sphere, measured array.

base            what a microphone is
draw            one drawn at random, with its tolerances
tetrahedral, rigid_sphere, measured_array       the kinds
sofa_file, sofa_array                           reading and writing SOFA files
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
