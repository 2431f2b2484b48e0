"""The store of rooms on disk, a bank: shards of rooms and an index.

bank, records, room_record      writing and reading it
dataset             its rooms as a `tf.data.Dataset`
convert             banks of doa_tf 0.1
info, plot          what it holds
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
