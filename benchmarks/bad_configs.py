"""CPU time of sixty bad requests, each in an interpreter of its own: `python benchmarks/bad_configs.py`.

The result is printed and written to `results/bad_configs.json`.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.bad_configs import KINDS, ask, judge  # noqa: E402


def main() -> None:
    rows: dict[str, dict[str, float]] = {}
    seconds: list[float] = []
    right = 0
    for kind, cases in KINDS.items():
        times = []
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                said = ask(case, Path(folder))
            right += not judge(case, said)
            times.append(said.cpu)
        rows[kind] = {"median": round(statistics.median(times), 3), "max": round(max(times), 3)}
        seconds += times
    rows["all"] = {"median": round(statistics.median(seconds), 3), "max": round(max(seconds), 3)}
    for kind, row in rows.items():
        print(f"{kind:14} median {row['median']:.3f} s CPU, at most {row['max']:.3f}")
    print(f"{right} of {len(seconds)} as they should be")
    found = {"requests": len(seconds), "right": right, "python": sys.version.split()[0], "cpu_seconds": rows}
    (Path(__file__).parent / "results" / "bad_configs.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
