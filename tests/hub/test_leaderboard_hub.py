"""`rlzoo leaderboard source=hub` and `rlzoo certify user=…`: what the cards of models state."""

import json

import pytest

from rlzoo.cli.main import main
from tests.hub.test_listing import card, publish

pytestmark = pytest.mark.usefixtures("hub")


def test_models_are_ranked_as_runs_are(hub, capsys):
    publish(hub, "a/ppo-LunarLander-v2", card("LunarLander-v2", "250.00 +/- 20.00"))
    publish(hub, "b/dqn-LunarLander-v3", card("LunarLander-v3", "290.00 +/- 20.00", "DQN"))
    publish(hub, "c/ppo-CartPole-v1", card("CartPole-v1", "none"))
    assert main(["leaderboard", "source=hub", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (board,) = found["boards"]
    assert [(row["rank"], row["where"], row["result"]) for row in board["rows"]] == [
        (1, "b/dqn-LunarLander-v3", 270.0),
        (2, "a/ppo-LunarLander-v2", 230.0),
    ]
    assert [left["where"] for left in found["left_out"]] == ["c/ppo-CartPole-v1"]
    assert main(["leaderboard", "user=a", "env=LunarLander"]) == 0
    output = capsys.readouterr().out
    assert "a/ppo-LunarLander-v2" in output and "b/dqn" not in output and "nobody has checked" in output


def test_models_of_the_course_pass_its_assignments(hub, capsys, workdir):
    course, unity = ["deep-rl-course"], ["deep-reinforcement-learning"]
    publish(hub, "ada/lander", card("LunarLander-v2", "250.00 +/- 20.00"))
    publish(hub, "ada/q-Taxi-v3", card("Taxi-v3", "7.56 +/- 2.71", "q-Taxi-v3", None, ["q-learning"]))
    publish(hub, "ada/lake", card("FrozenLake-v1-4x4-no_slippery", "1.00 +/- 0.00", "q", None, ["q-learning"]))
    publish(hub, "ada/dqn", card("SpaceInvadersNoFrameskip-v4", "300.00 +/- 150.00", "DQN"))  # 150: below the bar
    publish(hub, "ada/Reinforce-1", card("CartPole-v1", "500.00 +/- 0.00", "Reinforce", None, ["reinforce"]))
    publish(hub, "ada/copter", card("Pixelcopter-PLE-v0", "20.00 +/- 15.00", "Reinforce", None, ["reinforce"]))  # 5
    for name in ("SnowballTarget", "Pyramids", "SoccerTwos"):
        tags = ["reinforcement-learning", f"ML-Agents-{name}", *unity]
        publish(hub, f"ada/ppo-{name}", {"library_name": "ml-agents", "tags": tags})
    publish(hub, "ada/a2c-PandaReachDense-v3", card("PandaReachDense-v3", "-0.20 +/- 0.10", "A2C"))
    tags = ["ppo", "custom-implementation", *course]
    publish(hub, "ada/ppo-scratch", card("LunarLander-v2", "-100.00 +/- 50.00", "PPO", None, tags))
    publish(hub, "ada/doom", card("doom_health_gathering_supreme", "9.00 +/- 5.00", "APPO", "sample-factory"))  # 4
    publish(hub, "bob/doom", card("doom_health_gathering_supreme", "21.00 +/- 0.00", "APPO", "sample-factory"))
    assert main(["certify", "user=ada", "name=Ada Lovelace", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    states = {assignment["name"]: assignment["state"] for assignment in found["assignments"]}
    failed = {name for name, state in states.items() if state != "passed"}
    assert failed == {"unit3_spaceinvaders", "unit8_doom"}
    assert {states[name] for name in failed} == {"failed"}
    assert (found["passed"], found["of"], found["level"]) == (9, 11, "completion")
    assert [path.rpartition(".")[2] for path in found["certificate"]] == ["pdf", "png"]
    assert sorted(path.name for path in workdir.glob("*.p*")) == [
        "deep-rl-course-certificate.pdf",
        "deep-rl-course-certificate.png",
    ]


def test_a_hub_that_is_away_is_exit_6_and_nothing_is_written(hub, capsys, workdir):
    hub.fail("any", times=99, status=403)
    assert main(["certify", "user=ada", "name=Ada"]) == 6
    assert list(workdir.glob("*.p*")) == []
    assert main(["leaderboard", "source=hub"]) == 6
