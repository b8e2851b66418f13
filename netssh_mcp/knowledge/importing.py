"""What is imported late, one thread at a time.

Two threads that import parts of one package from different ends meet in Python's own locks: one has the package and
wants the part, the other has the part and wants the package. Python ends that by an error in one of them.
"""

from __future__ import annotations

import threading
from typing import Final

ONE_AT_A_TIME: Final = threading.RLock()  # again, as what is imported may import late itself
