"""Which checkpoint ships: the test's own numbers, the course of a selection, and whole trainings that end in one."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rlzoo
from rlzoo.algos.create import create
from rlzoo.config.parse import parse
from rlzoo.envs import make
from rlzoo.envs.seeding import episode_seeds
from rlzoo.evaluation.selection import STREAM, choose, sign_flip_p
from rlzoo.runs import checkpoints
from rlzoo.training.train import evaluate_final

pytestmark = pytest.mark.usefixtures("workdir")


def test_p_values_by_hand():
    assert sign_flip_p([1.0, 1.0, 1.0]) == 1 / 8  # all signs must be +
    assert sign_flip_p([3.0, 1.0, -1.0]) == 3 / 8  # sums of at least 3: 3+1-1, 3-1+1, 3+1+1
    assert sign_flip_p([1.0, -1.0]) == 3 / 4  # at least 0: ++, +-, -+
    assert sign_flip_p([0.0, 0.0, 0.0, 0.0]) == 1.0
    assert sign_flip_p([-5.0, -5.0]) == 1.0
    assert sign_flip_p([0.1, 0.2, 0.3]) == sign_flip_p([1.0, 2.0, 3.0]) == 1 / 8  # rounding is no difference
    assert sign_flip_p([np.inf, 1.0]) == sign_flip_p([np.nan, 1.0]) == 1.0


def test_many_pairs_are_sampled_and_agree_with_the_exact_value():
    differences = np.array([4.0, -1, 3, 2, -2, 5, 1, -3, 2, 4, -1, 2])
    exact = sign_flip_p(differences)
    sampled = sign_flip_p(np.append(differences, 0.0))  # 13 pairs: the last changes no sum
    assert sampled == pytest.approx(exact, abs=0.01)
    assert sign_flip_p(np.ones(40)) == 1e-4  # its own signs are one of the 10,000


class Played:
    """Returns by candidate and episode; remembers who played what."""

    def __init__(self, **returns: list[float]) -> None:
        self.returns = {int(name.replace("last", "-1").removeprefix("c")): row for name, row in returns.items()}
        self.calls: list[tuple[int, int, int]] = []

    def __call__(self, k: int, first: int, n: int) -> list[float]:
        self.calls.append((k, first, n))
        return self.returns[k][first : first + n]


def test_the_course_of_a_selection():
    play = Played(last=[1.0] * 8, c0=[5.0] * 8, c1=[9.0] * 8, c2=[2.0] * 8)
    choice = choose(play, 3, 20)
    assert play.calls == [(-1, 0, 2), (0, 0, 2), (1, 0, 2), (2, 0, 2), (-1, 2, 6), (1, 2, 6)]
    assert (choice.winner, choice.finalist, choice.n_episodes) == (1, 1, 20)
    assert choice.p_value == 2**-8 and choice.level == pytest.approx(0.05 / 3)
    assert choice.returns == {-1: [1.0] * 8, 0: [5.0] * 2, 1: [9.0] * 8, 2: [2.0] * 2}


def test_who_is_not_better_does_not_ship():
    equal = choose(Played(last=[7.0] * 10, c0=[7.0] * 10), 1, 20)
    assert (equal.winner, equal.finalist, equal.p_value) == (None, 0, 1.0)
    lucky = choose(Played(last=[1.0] * 10, c0=[100.0, 100.0, *[0.0] * 8]), 1, 20)
    assert lucky.winner is None and lucky.p_value > 0.05
    worse = choose(Played(last=[3.0] * 9, c0=[1.0] * 9, c1=[2.0] * 9), 2, 20)
    assert (worse.winner, worse.finalist, worse.n_episodes) == (None, None, 6)  # seen after the first episodes


def test_of_equal_candidates_the_later_one_is_tested():
    assert choose(Played(last=[0.0] * 8, c0=[5.0] * 8, c1=[5.0] * 8, c2=[5.0] * 8), 3, 20).winner == 2


@pytest.mark.parametrize(("n_candidates", "n_episodes"), [(0, 20), (3, 0), (1, 8), (3, 12)])
def test_too_few_episodes_to_show_anything_are_not_played(n_candidates, n_episodes):
    play = Played(last=[0.0] * 20, c0=[9.0] * 20, c1=[9.0] * 20, c2=[9.0] * 20)
    choice = choose(play, n_candidates, n_episodes)
    assert choice.winner is None and choice.n_episodes == 0 and not play.calls


def test_it_costs_no_more_than_it_may():
    returns = {name: list(np.random.default_rng(k).normal(k, 1.0, 300)) for k, name in enumerate(("last", "c0", "c1"))}
    for n_episodes in range(61):
        for n_candidates in (1, 2):
            assert choose(Played(**returns), n_candidates, n_episodes).n_episodes <= n_episodes


WORDS = ("algo=ppo", "env=CartPole", "hyperparams=none", "algo.n_steps=256", "algo.learning_rate=0.003", "env.n_envs=2")
SMALL = (*WORDS, "algo.policy_kwargs.net_arch=[16]", "algo.batch_size=128", "logger=[]", "seed=1", "device=cpu")


def forgetful(run):
    """Replace what the run learned last by an untrained network."""
    cfg = parse(run.read_config())
    env = make(cfg.env, n_envs=1, seed=0)
    algorithm = create(cfg.algo, env, seed=0, device="cpu")
    checkpoints.save(run, "last", algorithm=algorithm, env=env, model_zip=True)
    env.close()
    return cfg


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("selection")
    return rlzoo.train(*SMALL, "total_timesteps=6144", "checkpoint.freq=0", "eval.max_steps=200", f"runs_dir={root}")


def test_last_ships_unless_a_candidate_beats_it_on_fresh_episodes(trained, capsys):
    assert len(trained.candidates()) == 3 and not trained.checkpoint("best").exists()
    assert trained.find_checkpoint().name == "last"
    cfg = forgetful(trained)
    evaluation = evaluate_final(cfg, trained, lambda: False)
    last, best = trained.read_results()[-2:]
    assert [(entry["checkpoint"], entry["ships"]) for entry in (last, best)] == [("last", False), ("best", True)]
    assert list(evaluation.returns) == best["returns"] and best["mean_reward"] > 2 * last["mean_reward"]
    assert last["num_timesteps"] == 0 and best["num_timesteps"] == int(best["selection"]["winner"])
    assert "selection" not in last

    selection = best["selection"]
    finalist, theirs = selection["returns"][selection["winner"]], selection["returns"]["last"]
    assert selection["p_value"] == sign_flip_p(np.subtract(finalist, theirs)) < selection["level"]
    assert selection["n_episodes"] == sum(map(len, selection["returns"].values())) <= 20
    fresh = selection["seeds"]
    assert fresh == episode_seeds(cfg.eval.seed, STREAM, len(fresh))
    reported = set(best["seeds"]) | set(last["seeds"])
    rows = trained.evaluations_file.read_text().splitlines()[1:]
    on_the_way = {seed for row in rows for seed in json.loads("[" + row.rsplit("[", 1)[1].rstrip('"'))}
    assert on_the_way and not set(fresh) & (reported | on_the_way | {1})

    shipped = trained.find_checkpoint()
    assert shipped.name == "best" and checkpoints.read_manifest(shipped)["selection"] == selection
    winner = trained.find_checkpoint(f"candidates/{selection['winner']}")
    assert checkpoints.fingerprint(shipped) == checkpoints.fingerprint(winner)
    assert shipped.model_zip.read_bytes() == winner.model_zip.read_bytes()
    checkpoints.verify(shipped)
    assert f"best ships: step {int(selection['winner']):,} is better than last" in capsys.readouterr().err


def test_a_best_that_a_longer_training_overtakes_is_taken_back(trained):
    """The run ends with the weights of a candidate as its last: nobody beats them any more."""
    cfg = forgetful(trained)
    evaluate_final(cfg, trained, lambda: False)
    best = trained.checkpoint("best")
    assert best.exists()
    contents = checkpoints.read(best)
    env = make(cfg.env, n_envs=1, seed=0)
    algorithm = create(cfg.algo, env, seed=0, device="cpu")
    algorithm.restore(contents.algorithm)
    checkpoints.save(trained, "last", algorithm=algorithm, env=env, model_zip=True)
    env.close()
    evaluate_final(cfg, trained, lambda: False)
    assert not best.exists() and trained.find_checkpoint().name == "last"
    entry = trained.read_results()[-1]
    assert (entry["checkpoint"], entry["ships"]) == ("last", True)
    candidates = {candidate.name for candidate in trained.candidates()}
    assert set(entry["selection"]["returns"]) - {"last"} < candidates  # the one that is `last` itself did not play


def test_a_stop_on_the_way_changes_nothing(trained):
    cfg = forgetful(trained)
    before = trained.read_results()
    asked = iter([False] * 500)
    assert evaluate_final(cfg, trained, lambda: next(asked, True)) is None
    assert trained.read_results() == before


def test_runs_of_earlier_versions_have_no_key_for_it(trained):
    values = trained.read_config()
    del values["eval"]["selection_n_episodes"]
    assert parse(values).eval.selection_n_episodes == 20
