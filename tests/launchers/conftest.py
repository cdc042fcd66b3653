"""Makes `toy_jobs` importable, here and in the processes of the jobs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
