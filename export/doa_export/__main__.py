"""`python -m doa_export` is `doa_export`."""

import sys

from doa_export.cli import main

sys.exit(main())
