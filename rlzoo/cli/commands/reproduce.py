"""`rlzoo reproduce`: train a run's configuration once more, and say whether the same numbers come out."""

from __future__ import annotations

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.schema import ReproduceConfig
from rlzoo.errors import ExitCode
from rlzoo.runs.run import Run
from rlzoo.training.reproduce import reproduce


@command(ReproduceConfig, has_groups=True)
def main(call: Call[ReproduceConfig]) -> Answer:
    run = Run.open(call.options.run, call.options.runs_dir)
    found = reproduce(run, into=call.options.into, trust=call.options.trust)
    code = ExitCode.DONE if found.identical else ExitCode.TRAINING_FAILED
    return Answer(found.as_data(run), lambda: found.show(run), code)
