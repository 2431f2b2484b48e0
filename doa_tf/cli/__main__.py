"""python -m doa_tf.cli"""

from __future__ import annotations

import sys

from doa_tf.cli.main import main

sys.exit(main())
