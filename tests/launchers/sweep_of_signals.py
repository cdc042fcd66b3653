"""A sweep in a process of its own, for the tests that send it signals: `python sweep_of_signals.py FOLDER N_JOBS`."""

import json
import sys
from pathlib import Path

from rlzoo.launchers import Job, launch, sweep_exit_code

if __name__ == "__main__":
    folder, n_jobs = sys.argv[1], int(sys.argv[2])
    jobs = [Job({"folder": folder, "x": x}, "toy_jobs:until_signal") for x in range(3)]
    results = launch(jobs, {"name": "local"}, n_jobs=n_jobs)
    Path(folder, "results.json").write_text(json.dumps([[r.index, r.exit_code, r.run, r.error] for r in results]))
    sys.exit(sweep_exit_code(results))
