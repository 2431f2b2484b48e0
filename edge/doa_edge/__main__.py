"""`python -m doa_edge` is `doa_edge`."""

import sys

from doa_edge.commands.main import main

sys.exit(main())
