"""A sweep in a process of its own, for the tests that send it signals.

`python sweep_of_signals.py FOLDER N_JOBS LAUNCHER_YAML [KEY VALUE]`
"""

import json
import sys
from pathlib import Path

import yaml

from rlzoo.launchers import Job, launch, sweep_exit_code

if __name__ == "__main__":
    folder, n_jobs, launcher = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    options = {
        **yaml.safe_load(Path(launcher).read_text()),
        **dict(zip(sys.argv[4::2], map(yaml.safe_load, sys.argv[5::2]), strict=True)),
    }
    jobs = [Job({"folder": folder, "x": x}, "toy_jobs:until_signal") for x in range(3)]
    results = launch(jobs, options, n_jobs=n_jobs, runs_dir=folder)
    Path(folder, "results.json").write_text(json.dumps([[r.index, r.exit_code, r.run, r.error] for r in results]))
    sys.exit(sweep_exit_code(results))
