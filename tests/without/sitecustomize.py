"""Hides modules, programs and libraries that DOA_WITHOUT names from every Python process.

    PYTHONPATH=tests/without DOA_WITHOUT="tensorflow keras" python -m pytest tests/core
    PYTHONPATH=$PWD/tests/without DOA_WITHOUT="portaudio chromium" make test

Python imports this by itself where it is on the path, also in the programs that tests start.
"""

import ctypes.util
import os
import shutil
import sys

HIDDEN = frozenset(os.environ.get("DOA_WITHOUT", "").split())


def _hiding(find):
    def found(name, *args, **options):
        return None if name in HIDDEN else find(name, *args, **options)

    return found


sys.modules.update(dict.fromkeys(HIDDEN))  # None: its import fails
shutil.which = _hiding(shutil.which)
ctypes.util.find_library = _hiding(ctypes.util.find_library)
