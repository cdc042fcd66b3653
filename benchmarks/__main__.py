"""`python -m benchmarks speed [row ...]`: whole commands beside the peer's; `startup`: beside what they import."""

import sys

from benchmarks import speed, startup

PARTS = {"speed": speed.main, "startup": startup.main}

if sys.argv[1:2] and sys.argv[1] in PARTS:
    name = sys.argv.pop(1)
    PARTS[name]()
else:
    sys.exit(f"{__doc__}\nusage: python -m benchmarks {{{','.join(PARTS)}}} …")
