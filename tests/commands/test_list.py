"""`rlzoo list`: what is in files of the user's is listed, whatever it is."""

from __future__ import annotations

import json
import math

from rlzoo.cli.main import main


def test_a_number_that_json_does_not_have_is_listed(workdir, capsys):
    path = workdir / "hyperparams" / "ppo" / "Mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\ntotal_timesteps: .inf\n")
    assert main(["list", "hyperparams", "--json"]) == 0
    rows = {row["set"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["ppo/Mine"]["total_timesteps"] == math.inf and rows["ppo/CartPole"]["total_timesteps"] == 100_000
    assert main(["list", "hyperparams"]) == 0
    assert "ppo/Mine" in capsys.readouterr().out
