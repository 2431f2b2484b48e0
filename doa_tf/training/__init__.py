"""Training in a folder that can be resumed: one `train`, two engines.

run             `train`, whatever the engine
settings        how a network is built and trained, on what, and how a run is conducted
start           the network as a training begins with it
blend           a network between one and the same one trained further
run_folder      what lies in the folder of a run
callbacks, interruption, distribute, keras_engine       Keras's `fit`
jax_engine      scenes mixed, turned and learned in one JAX program
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
