"""First-order Ambisonic microphones: ideal, tetrahedral, rigid sphere, measured array.

base                    the interface, and the response to diffuse sound
tetrahedral             four capsules
rigid_sphere            12 to 32 capsules on a rigid sphere, modelled
measured_array          any array, measured: a SOFA file
draw                    one of them at random, with its tolerances
array_checks            whether a measured array can become Ambisonics
sofa_file, sofa_array   reading and writing SOFA files
sofa_geometry, sofa_responses   where sources are in them, and what is heard
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
