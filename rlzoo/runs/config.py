"""The configuration that a run keeps, checked as a request is: somebody else, or an editor, may have written it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlzoo.algos.schema.check import check_values
from rlzoo.config.compose import Composition, override
from rlzoo.config.parse import check
from rlzoo.config.schema import TrainConfig
from rlzoo.config.yaml_file import YamlFile
from rlzoo.envs.check import check_options
from rlzoo.errors import Problem
from rlzoo.runs.run import Run
from rlzoo.runs.trust import require_trusted
from rlzoo.untrusted import signature

HERE: dict[str, Any] = {"runs_dir": "runs", "n_seeds": 1, "n_jobs": 1, "launcher": {"name": "local"}}
"""Where and beside what a training runs that somebody else began: their places are theirs."""


@dataclass(frozen=True)
class RunConfig:
    """config.yaml of a run, read once: what is checked is what is used.

    Attributes:
        run: the run.
        file: its values, and the line of each.
        is_own: this user has signed this very text.
    """

    run: Run
    file: YamlFile
    is_own: bool

    @classmethod
    def open(cls, run: Run) -> RunConfig:
        """Read it.

        Raises:
            RlzooError: if it is damaged.
        """
        text = run.read_config_text()
        return cls(run, run.parse_config(text), signature.is_own(text))

    def compose(self, words: Sequence[str] = (), *, trust: bool = False, training: bool = False) -> Composition:
        """The configuration with changes, as on the command line, if the run may be used.

        Args:
            words: the changes.
            trust: use a run that was not made here although it names modules to import.
            training: it will be trained on.

        Raises:
            RlzooError: as `require_trusted` does.
        """
        composition = override(self.file, words)
        require_trusted(self.run, composition.values, own=self.is_own, trust=trust, training=training)
        return composition

    def read(self, *, trust: bool = False, training: bool = False) -> TrainConfig:
        """The configuration as it is; the arguments are those of `compose`.

        Raises:
            ConfigError: with everything that no request could ask for.
            RlzooError: as `compose` does.
        """
        composition = self.compose(trust=trust, training=training)
        config = composition.settled(*find_problems(composition))
        return self.here(config, trust=trust) if training else config

    def here(self, config: TrainConfig, *, trust: bool = False) -> TrainConfig:
        """The configuration to train on with: of a run that somebody else made, without the places that it names.

        So nothing that they wrote is signed, or used, that was not checked.
        """
        if self.is_own:
            return config
        return replace(config, **HERE, init_from=config.init_from if trust else None)


def find_problems(composition: Composition) -> tuple[TrainConfig | None, list[Problem]]:
    """The typed configuration (None if it has no valid form), and everything that no request could ask for."""
    values = composition.values
    config, problems = check(TrainConfig, values)
    problems = [*composition.problems, *problems]
    if config is not None:
        problems += check_options(values["env"])
        problems += check_values(values["algo"], config.env.observation_space)
    return config, problems
