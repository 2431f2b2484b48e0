"""Cost: seconds, bytes, instructions. Each figure stands beside a named alternative's.

numpy gets one thread here and in the processes that a benchmark starts: processes and threads
of our own share the cores.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
