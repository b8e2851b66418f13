"""`python -m tests.parts`: the suite as processes side by side, so that the waiting of one is the work of another.

One has the simulated devices, one the real laboratory, where most of the time is spent waiting, and one all the rest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

TESTS = Path(__file__).parent
ALONE = ("devices", "lab")


def parts() -> list[list[str]]:
    """The folders of each; every folder that has tests is in one of them."""
    folders = sorted({path.parent for path in TESTS.rglob("test_*.py")})
    tops = sorted({folder.relative_to(TESTS).parts[0] for folder in folders})
    return [*([f"tests/{top}"] for top in ALONE), [f"tests/{top}" for top in tops if top not in ALONE]]


def main() -> int:
    """The worst of the exit statuses; each part's output stays together, the first one's is seen as it comes."""
    first, *others = ([sys.executable, "-m", "pytest", "-q", *part, *sys.argv[1:]] for part in parts())
    with ExitStack() as stack:
        running = []
        for argv in others:
            kept = stack.enter_context(tempfile.TemporaryFile())
            process = stack.enter_context(subprocess.Popen(argv, stdout=kept, stderr=subprocess.STDOUT))
            running.append((process, kept))
        worst = subprocess.run(first, check=False).returncode
        for process, kept in running:
            process.wait()
            kept.seek(0)
            sys.stdout.write(kept.read().decode("utf-8", "replace"))
            worst = max(worst, process.returncode, key=abs)
    return worst


if __name__ == "__main__":
    sys.exit(main())
