"""`python -m doa_tf` is `doa_tf`."""

import sys

from doa_tf.cli.main import main

sys.exit(main())
