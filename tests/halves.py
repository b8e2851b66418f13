"""`python -m tests.halves`: the suite as two processes side by side, on two cores in half the time.

One has what talks to devices and to the real laboratory (which has one user at a time), the other all the rest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
WITH_DEVICES = ("devices", "lab")


def halves() -> tuple[list[str], list[str]]:
    """The folders of each; every folder that has tests is in one of them."""
    folders = sorted({path.parent for path in TESTS.rglob("test_*.py")})
    tops = sorted({folder.relative_to(TESTS).parts[0] for folder in folders})
    rest = [top for top in tops if top not in WITH_DEVICES]
    return [f"tests/{top}" for top in WITH_DEVICES], [f"tests/{top}" for top in rest]


def main() -> int:
    """The worse of the two exit statuses; each half's output stays together."""
    first, second = ([sys.executable, "-m", "pytest", "-q", *half, *sys.argv[1:]] for half in halves())
    with tempfile.TemporaryFile() as kept, subprocess.Popen(second, stdout=kept, stderr=subprocess.STDOUT) as other:
        status = subprocess.run(first, check=False).returncode
        other.wait()
        kept.seek(0)
        sys.stdout.write(kept.read().decode("utf-8", "replace"))
    return max(status, other.returncode, key=abs)


if __name__ == "__main__":
    sys.exit(main())
