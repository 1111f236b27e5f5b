"""Set before torch is imported: threads that spin while they wait slow a busy machine tenfold."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
