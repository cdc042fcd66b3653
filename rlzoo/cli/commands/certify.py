"""`rlzoo certify`: what was reached in each assignment of the Deep RL Course, and the certificate of a level."""

from __future__ import annotations

from pathlib import Path

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.schema import CertifyConfig
from rlzoo.course.certificate import certify, certify_problems


def _is_run(word: str) -> bool:
    """A path may hold an equals sign; a setting that is also the name of a folder is a setting."""
    key, equals, _ = word.partition("=")
    return not equals or (not key.isidentifier() and Path(word).exists())


@command(CertifyConfig, apart=_is_run)
def main(call: Call[CertifyConfig]) -> Answer:
    cfg = call.settings.settled(call.options, certify_problems(call.options, call.apart))
    report, written = certify(cfg, call.apart)
    data = {**report.as_data(), "certificate": [str(path) for path in written]}
    return Answer(data, lambda: report.show(written, wants=cfg.name is not None))
