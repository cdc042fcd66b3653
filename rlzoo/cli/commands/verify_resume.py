"""`rlzoo verify-resume`: can this training be resumed exactly? Tried on a short copy that is cut off by a crash."""

from __future__ import annotations

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.schema import VerifyResumeConfig
from rlzoo.errors import ExitCode
from rlzoo.runs.run import Run
from rlzoo.training.verify_resume import verify_resume


@command(VerifyResumeConfig, has_groups=True)
def main(call: Call[VerifyResumeConfig]) -> Answer:
    cfg = call.options
    run = Run.open(cfg.run, cfg.runs_dir)
    found = verify_resume(run, total_timesteps=cfg.total_timesteps, keep=cfg.keep, trust=cfg.trust)
    code = ExitCode.DONE if found.identical else ExitCode.TRAINING_FAILED
    return Answer({"run": str(run.path), **found.as_data()}, found.show, code)
