"""`rlzoo leaderboard`: hand-computed orders and ties, which evaluation of a run counts, and runs that are damaged."""

import json

import pytest

from rlzoo.cli.main import main
from rlzoo.course import leaderboard, scores
from rlzoo.course.scores import Score, choose, read_runs, runs_below
from tests.results import entry, make_run


def score(mean, std, *, where="run", algo="ppo", env="CartPole-v1", date="2026-11-20"):
    return Score(where=where, source="runs", algo=algo, env=env, mean=mean, std=std, date=date)


def boards(capsys, *words):
    assert main(["leaderboard", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_results_order_ties_go_by_the_mean_and_equal_ones_share_a_rank():
    found = [
        score(400.0, 100.0, where="c"),  # 300
        score(350.0, 10.0, where="a"),  # 340
        score(500.0, 200.0, where="b"),  # 300, of a higher mean
        score(400.0, 100.0, where="d", date="2026-11-21"),  # the same as c, later
        score(-5.0, 0.0, where="e"),
    ]
    assert [(place, s.where) for place, s in leaderboard.rank(found)] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
        (3, "d"),
        (5, "e"),
    ]


def test_the_newest_evaluation_that_counts_is_the_runs():
    last, best = entry(10.0, 1.0, checkpoint="last"), entry(20.0, 2.0)
    assert choose([last, best], 10) is best  # the pair at the end of a training
    later = entry(15.0, 1.0, 100, source="evaluate", checkpoint="last")
    assert choose([last, best, later], 10) is later
    packaged = entry(14.0, 1.0, source="package")
    assert choose([last, best, later, packaged], 10) is packaged
    assert choose([last, best, later, packaged], 100) is later
    changed = entry(99.0, 0.0, source="evaluate", env=["env.kwargs.gravity=-1"])
    assert choose([last, best, changed], 10) is best
    assert choose([best, entry(500.0, 0.0, 3, source="evaluate")], 10) is best  # too few episodes
    assert choose([best, entry(500.0, 0.0, source="published")], 10) is best  # somebody says so
    assert choose([best, entry(None, None), entry(1.0, None), entry(True, 0.0)], 10) is best  # NaN is stored as null


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([], "no evaluation"),
        ([entry(1.0, 0.0, 3), entry(1.0, 0.0, 7)], "7 of the 10 episodes"),
        ([entry(1.0, 0.0, env=["env.max_steps=3"])], "changed environment"),
        ([entry(None, None)], "not finite"),
        ([entry("500", 0.0)], "not finite"),
        ([entry(10**400, 0.0), entry(-1e308, 1e308)], "not finite"),
        ([entry(1.0, 0.0, 10**400)], "0 of the 10 episodes"),
        ([entry(1.0, 0.0, "many")], "0 of the 10 episodes"),
        ([{}], "0 of the 10 episodes"),
        ([entry(1.0, 0.0, n_repeated=1)], "seeds that repeat"),
    ],
)
def test_why_a_run_has_no_result(entries, reason):
    assert reason in choose(entries, 10)


def test_what_was_played_otherwise_than_a_run_says_is_not_its_score(tmp_path, capsys):
    own = entry(400.0, 10.0, deterministic=True, seeds=[*range(10)])
    others = (
        entry(500.0, 0.0, 10, source="evaluate", deterministic=True, seeds=[7] * 10),
        entry(500.0, 0.0, 10, source="evaluate", deterministic=True, seeds=[*range(9), 0]),
        entry(500.0, 0.0, 10, source="evaluate", deterministic=False, seeds=[*range(10)]),
    )
    for seed, other in enumerate(others):
        make_run(tmp_path, "ppo", "CartPole-v1", [own, other], seed=seed, eval={"deterministic": True})
    (board,) = boards(capsys, f"runs_dir={tmp_path}")["boards"]
    assert [row["mean"] for row in board["rows"]] == [400.0] * 3
    assert main(["list", "runs", f"runs_dir={tmp_path}", "--json"]) == 0
    assert [row["mean"] for row in json.loads(capsys.readouterr().out)] == [400.0] * 3
    assert "sampled actions" in choose(others[2:], 10, deterministic=True)


@pytest.mark.parametrize(
    ("asked", "stochastic", "expected"),
    [("auto", False, True), ("auto", True, False), (True, True, True), (False, False, False), ("auto", None, None)],
)
def test_how_a_runs_own_evaluations_are_played(asked, stochastic, expected):
    config = {"eval": {"deterministic": asked}, "env": {"stochastic_eval": stochastic}}
    assert scores.plays_deterministically(config) is expected


def test_runs_are_read_ranked_and_shown(tmp_path, capsys):
    make_run(tmp_path, "dqn", "CartPole-v1", [entry(400.0, 50.0)], seed=3)  # 350
    make_run(tmp_path, "ppo", "CartPole-v1", [entry(500.0, 0.0)], seed=4)
    make_run(tmp_path, "ppo", "LunarLander-v2", [entry(250.0, 20.0)])
    make_run(tmp_path, "sac", "Pendulum-v1", [entry(-150.0, 80.0)])
    found = boards(capsys, f"runs_dir={tmp_path}")["boards"]
    assert [board["env"] for board in found] == ["LunarLander-v3", "CartPole-v1", "Pendulum-v1"]  # units 1 and 4 first
    assert "unit 1: ppo, mean - std >= 200" in found[0]["title"]
    rows = found[1]["rows"]
    assert [(row["rank"], row["algo"], row["result"], row["seed"], row["steps"]) for row in rows] == [
        (1, "ppo", 500.0, 4, 1000),
        (2, "dqn", 350.0, 3, 1000),
    ]
    assert main(["leaderboard", f"runs_dir={tmp_path}", "env=CartPole", "n=1"]) == 0
    output = capsys.readouterr().out
    assert "500.00 ± 0.00" in output and "dqn" not in output and "CartPole-v1: 1 of 2; n=2 shows all" in output


def test_environments_are_named_in_every_way(tmp_path, capsys):
    make_run(tmp_path, "ppo", "LunarLander-v2", [entry(250.0, 20.0)])
    make_run(tmp_path, "ppo", "CartPole-v1", [entry(500.0, 0.0)])
    for name in ("LunarLander", "LunarLander-v2", "LunarLander-v3"):
        (board,) = boards(capsys, f"runs_dir={tmp_path}", f"env={name}")["boards"]
        assert board["env"] == "LunarLander-v3"
    assert boards(capsys, f"runs_dir={tmp_path}", "env=Acrobot")["boards"] == []
    assert main(["leaderboard", f"runs_dir={tmp_path}", "env=CartPol", "algo=ppoo"]) == 2
    errors = capsys.readouterr().err
    assert "did you mean 'CartPole'" in errors and "did you mean 'ppo'" in errors


def test_other_keywords_are_another_board(tmp_path, capsys):
    make_run(tmp_path, "q_learning", "FrozenLake-v1", [entry(0.7, 0.4)])
    make_run(tmp_path, "q_learning", "FrozenLake-v1", [entry(1.0, 0.0)], kwargs={"is_slippery": False})
    atari = {"frameskip": 1, "repeat_action_probability": 0.0}
    make_run(tmp_path, "dqn", "SpaceInvadersNoFrameskip-v4", [entry(600.0, 100.0)], kwargs=atari)
    found = boards(capsys, f"runs_dir={tmp_path}")["boards"]
    assert [(board["env"], board["variant"]) for board in found] == [
        ("FrozenLake-v1", "is_slippery=false"),
        ("SpaceInvadersNoFrameskip-v4", ""),
        ("FrozenLake-v1", ""),
    ]
    (board,) = boards(capsys, f"runs_dir={tmp_path}", "env=FrozenLakeNoSlippery")["boards"]
    assert board["rows"][0]["result"] == 1.0
    (board,) = boards(capsys, f"runs_dir={tmp_path}", "env=FrozenLake")["boards"]
    assert board["rows"][0]["mean"] == 0.7


def groups(capsys, root, *words):
    """(algo, what differs, means over seeds, their spread) of each row."""
    (board,) = boards(capsys, f"runs_dir={root}", "by=algo", *words)["boards"]
    return [
        (row["algo"], row["differs"], row["n_seeds"], row["mean_over_seeds"], row["std_over_seeds"])
        for row in board["rows"]
    ]


def test_one_row_for_each_algorithm_over_its_seeds(tmp_path, capsys):
    """The spread over seeds is that of their means, never of their episodes."""
    for seed, (mean, std) in enumerate([(100.0, 10.0), (200.0, 20.0), (300.0, 30.0)]):
        make_run(tmp_path, "ppo", "CartPole-v1", [entry(mean, std, checkpoint="last")], seed=seed)
    make_run(tmp_path, "dqn", "CartPole-v1", [entry(190.0, 5.0, checkpoint="last")])
    assert groups(capsys, tmp_path) == [
        ("ppo", "", 3, 200.0, pytest.approx(81.65, abs=0.01)),
        ("dqn", "", 1, 190.0, None),
    ]
    assert main(["leaderboard", f"runs_dir={tmp_path}", "by=algo"]) == 0
    output = capsys.readouterr().out
    assert "100.00, 200.00, 300.00" in output and "IQM 2" not in output  # three seeds give no interval
    assert "an interval needs 5 seeds" in output and "last (1,000 steps)" in output


def test_a_seed_that_ran_five_times_is_one_seed(tmp_path, capsys):
    for _ in range(5):
        make_run(tmp_path, "ppo", "CartPole-v1", [entry(100.0, 0.0, checkpoint="last")], seed=1)
    make_run(tmp_path, "ppo", "CartPole-v1", [entry(300.0, 0.0, checkpoint="last")], seed=2)
    (board,) = boards(capsys, f"runs_dir={tmp_path}", "by=algo")["boards"]
    (row,) = board["rows"]
    assert (row["n_seeds"], row["mean_over_seeds"], row["iqm_over_seeds"]) == (2, 200.0, None)
    assert [run["seed"] for run in row["runs"]] == [1, 2]


def test_a_training_that_was_cut_short_is_averaged_with_no_whole_one(tmp_path, capsys):
    for seed, steps in enumerate((1000, 1010, 400)):  # some algorithms finish an episode or a generation
        of_last = entry(100.0, 0.0, checkpoint="last", num_timesteps=steps, trained_timesteps=steps)
        make_run(tmp_path, "cem", "CartPole-v1", [of_last], seed=seed, total_timesteps=1000)
    assert groups(capsys, tmp_path) == [
        ("cem", "trained=400", 1, 100.0, None),
        ("cem", "trained=not set", 2, 100.0, 0.0),
    ]
    assert main(["leaderboard", f"runs_dir={tmp_path}", "by=algo"]) == 0
    assert "last (1,000 to 1,010 steps)" in capsys.readouterr().out


def test_five_seeds_give_an_interval(tmp_path, capsys):
    for seed in range(5):
        make_run(tmp_path, "ppo", "CartPole-v1", [entry(100.0 * seed, 0.0, checkpoint="last")], seed=seed)
    (board,) = boards(capsys, f"runs_dir={tmp_path}", "by=algo")["boards"]
    iqm, low, high = board["rows"][0]["iqm_over_seeds"]
    assert iqm == 200.0 and 0.0 <= low < 200.0 < high <= 400.0


def test_seeds_are_compared_on_their_last_checkpoint_unless_asked(tmp_path, capsys):
    run = make_run(tmp_path, "ppo", "CartPole-v1", [entry(10.0, 0.0, checkpoint="last"), entry(90.0, 0.0)])
    for name in ("last", "best"):
        path = run.checkpoint(name).manifest
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"num_timesteps": 1000, "selected": name == "best"}))
    assert groups(capsys, tmp_path)[0][3] == 10.0
    assert groups(capsys, tmp_path, "checkpoint=ships")[0][3] == 90.0
    (board,) = boards(capsys, f"runs_dir={tmp_path}")["boards"]  # agents: what ships
    assert (board["rows"][0]["mean"], board["rows"][0]["checkpoint"]) == (90.0, "best")
    (board,) = boards(capsys, f"runs_dir={tmp_path}", "checkpoint=last")["boards"]
    assert board["rows"][0]["mean"] == 10.0


@pytest.mark.parametrize(
    ("config", "info", "differs"),
    [
        ({"total_timesteps": 600}, {}, "total_timesteps=600"),
        ({"algo": {"name": "ppo", "gamma": 0.9}}, {}, "algo.gamma=0.9"),
        ({"env": {"id": "CartPole-v1", "n_envs": 4}}, {}, "env.n_envs=4"),
        ({"stop": {"reward": 5}}, {}, "stop.reward=5"),
        ({}, {"versions": {"torch": "1.0"}}, "torch=1.0"),
        ({"seed": 7, "runs_dir": "elsewhere", "env": {"id": "CartPole-v1", "vec_env": "subproc"}}, {}, None),
    ],
)
def test_runs_that_differ_in_more_than_their_seeds_are_not_averaged(tmp_path, capsys, config, info, differs):
    for seed in range(3):
        make_run(tmp_path, "ppo", "CartPole-v1", [entry(100.0, 0.0, checkpoint="last")], seed=seed)
    other = make_run(tmp_path, "ppo", "CartPole-v1", [entry(50.0, 0.0, checkpoint="last")], seed=3)
    other.write_config({**other.read_config(), **config})
    other.update_info(**info)
    found = groups(capsys, tmp_path)
    if differs is None:
        assert [(n, mean) for _, _, n, mean, _ in found] == [(4, 87.5)]
    else:
        assert [(n, mean) for _, _, n, mean, _ in found] == [(3, 100.0), (1, 50.0)]
        assert found[1][1] == differs and found[0][1] == f"{differs.partition('=')[0]}=not set"


def test_other_numbers_of_episodes_and_other_actions_are_not_averaged(tmp_path, capsys):
    make_run(tmp_path, "ppo", "CartPole-v1", [entry(1.0, 0.0, checkpoint="last")], seed=0)
    make_run(tmp_path, "ppo", "CartPole-v1", [entry(2.0, 0.0, 100, checkpoint="last")], seed=1)
    make_run(tmp_path, "ppo", "CartPole-v1", [entry(3.0, 0.0, checkpoint="last", deterministic=False)], seed=2)
    assert [row[1] for row in groups(capsys, tmp_path)] == [
        "actions=sampled, episodes=10",
        "actions=deterministic, episodes=100",
        "actions=deterministic, episodes=10",
    ]


def test_steps_are_no_episodes(tmp_path, capsys):
    make_run(tmp_path, "ppo", "CartPole-v1", [entry(9.0, 0.0, source="evaluate", mode="timesteps")])
    found = boards(capsys, f"runs_dir={tmp_path}")
    assert found["boards"] == [] and "favours short episodes" in found["left_out"][0]["reason"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'[{"mean_reward": NaN}]', b"\xff\xfe", b"[" * 10_000])
def test_a_damaged_run_hides_no_other(tmp_path, capsys, damage):
    whole = make_run(tmp_path, "ppo", "CartPole-v1", [entry(500.0, 0.0)])
    broken = make_run(tmp_path, "ppo", "CartPole-v1", [entry(1.0, 0.0)])
    broken.results_file.write_bytes(damage)
    found = boards(capsys, f"runs_dir={tmp_path}")
    assert [row["where"] for row in found["boards"][0]["rows"]] == [str(whole.path)]
    assert [(left["where"], left["damaged"]) for left in found["left_out"]] == [(str(broken.path), True)]
    assert main(["leaderboard", f"runs_dir={tmp_path}", "env=CartPole"]) == 0
    output = capsys.readouterr()
    assert f"warning: left out: {broken.path}" in output.err and "500.00" in output.out


def test_configurations_without_names_are_damaged(tmp_path):
    runs = [make_run(tmp_path, "ppo", "CartPole-v1", [entry(1.0, 0.0)]) for _ in range(4)]
    for run, text in zip(runs, ("algo: 3\nenv: 4\n", "a: 1\n", "algo: {name: [x]}\nenv: {id: 5}\n", "["), strict=True):
        run.config_file.write_text(text)
    found, left_out = read_runs(runs_below(tmp_path), 10)
    assert found == []
    assert [left.damaged for left in left_out] == [True] * 4


def test_runs_without_a_result_are_said(tmp_path, capsys):
    make_run(tmp_path, "ppo", "CartPole-v1", [entry(1.0, 0.0, 3)])
    make_run(tmp_path, "ppo", "Acrobot-v1", [])
    assert main(["leaderboard", f"runs_dir={tmp_path}", "env=CartPole"]) == 0
    output = capsys.readouterr()
    assert "3 of the 10 episodes" in output.err and "Acrobot" not in output.err
    assert "no results below" in output.out
    assert boards(capsys, f"runs_dir={tmp_path}", "n_episodes=3")["boards"][0]["rows"][0]["mean"] == 1.0
    assert main(["leaderboard", f"runs_dir={tmp_path / 'nothing'}"]) == 0


@pytest.mark.parametrize("word", ["source=cloud", "by=seed", "n=0", "n_episodes=x", "colour=red", "n=1.5"])
def test_wrong_words_are_explained(word, capsys):
    assert main(["leaderboard", word]) == 2
    assert f"{word.partition('=')[0]}: " in capsys.readouterr().err


def test_keywords_that_differ_are_named():
    assert scores.variant_of("CartPole-v1", {"kwargs": {}}) == ""
    assert scores.variant_of("Pixelcopter-PLE-v0", {"kwargs": {"reward": "course"}}) == "reward=course"
    assert scores.variant_of("PongNoFrameskip-v4", {"kwargs": {"frameskip": 1, "repeat_action_probability": 0.0}}) == ""
    assert (
        scores.variant_of("PongNoFrameskip-v4", {"kwargs": {}})
        == "frameskip=default, repeat_action_probability=default"
    )
    assert scores.variant_of("CartPole-v1", {"max_steps": 2000}) == "max_steps=2000"
    assert scores.variant_of("CliffWalking-v1", {"max_steps": 500}) == ""
    limited = {"wrappers": {"time_limit": {"max_episode_steps": 9}, "flatten": {}}}
    assert scores.variant_of("CartPole-v1", limited) == "time_limit={'max_episode_steps': 9}"
    assert len(scores.variant_of("Custom-v0", {"kwargs": {"text": "x" * 500}})) == 80
