"""Composition: families and tuned sets, open and single-value mappings, user files, and mistakes said all at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rlzoo.config.compose import compose, expand_jobs, override
from rlzoo.config.parse import check, dump, parse
from rlzoo.config.paths import root
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import ConfigError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(composition):
    return {problem.key for problem in composition.problems}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_defaults_compose_and_parse():
    composition = compose("train", [])
    assert composition.problems == ()
    cfg = parse(composition.values)
    assert (cfg.algo.name, cfg.env.id, cfg.eval.freq) == ("ppo", "CartPole-v1", "auto")
    assert parse(dump(cfg)) == cfg


def test_family_then_environment_then_command_line():
    composition = compose("train", ["algo=dqn", "env=SpaceInvaders", "algo.batch_size=64"])
    assert composition.hyperparams[0] == "hyperparams/dqn/atari.yaml"
    assert composition.values["algo"]["buffer_size"] == 100_000
    assert composition.values["algo"]["batch_size"] == 64
    assert composition.values["env"]["frame_stack"] == 4
    assert str(composition.origin("algo.batch_size")) == "command line"
    assert str(composition.origin("algo.buffer_size")).startswith("hyperparams/dqn/")
    assert composition.typed("algo.batch_size")
    assert not composition.typed("algo.buffer_size")
    breakout = compose("train", ["algo=dqn", "env=Breakout"])
    assert breakout.hyperparams == ("hyperparams/dqn/atari.yaml",)


def test_hyperparams_words():
    tuned = compose("train", ["env=LunarLander"])
    assert tuned.values["algo"]["n_steps"] == 1024
    none = compose("train", ["env=LunarLander", "hyperparams=none"])
    assert (none.values["algo"]["n_steps"], none.hyperparams) == (2048, ())
    required = compose("train", ["env=LunarLander", "hyperparams=required"])
    assert required.values["algo"]["n_steps"] == 1024
    other = compose("train", ["env=CartPole", "hyperparams=ppo/LunarLander"])
    assert other.values["algo"]["n_steps"] == 1024
    assert other.hyperparams == ("hyperparams/ppo/LunarLander.yaml",)
    assert keys(compose("train", ["algo=sac", "env=CarRacing", "hyperparams=required"])) == {"hyperparams"}
    typo = compose("train", ["env=LunarLander", "hyperparams=ppo/LunarLandr"])
    assert "did you mean 'ppo/LunarLander'" in typo.problems[0].message
    said = compose("train", ["algo=crossq", "env=CarRacing"])
    assert any("no tuned hyperparameters for crossq/CarRacing" in notice for notice in said.notices)


def test_a_tuned_set_from_a_file(elsewhere):
    write(elsewhere / "odd name's, set.yaml", "algo: {n_steps: 77}\n")
    composition = compose("train", ["env=LunarLander", "hyperparams=odd name's, set.yaml"])
    assert composition.problems == ()
    assert composition.values["algo"]["n_steps"] == 77
    assert composition.values["env"]["n_envs"] == 1
    assert composition.typed("algo.n_steps")


def test_open_mappings_take_new_keys_without_plus():
    words = ["env=LunarLander", "env.kwargs.gravity=-5", "algo.policy_kwargs.net_arch=[32]", "env.wrappers.flatten={}"]
    composition = compose("train", words)
    assert composition.problems == ()
    assert composition.values["env"]["kwargs"]["gravity"] == -5
    assert composition.values["algo"]["policy_kwargs"] == {"net_arch": [32]}
    assert composition.values["env"]["wrappers"] == {"flatten": {}}


def test_a_schedule_replaces_a_tuned_schedule_whole():
    assert compose("train", ["env=CartPole"]).values["algo"]["learning_rate"].keys() == {"linear"}
    composition = compose("train", ["env=CartPole", "algo.learning_rate={exponential: 1e-2}"])
    assert composition.values["algo"]["learning_rate"] == {"exponential": 1e-2}
    number = compose("train", ["env=CartPole", "algo.learning_rate=1e-2"])
    assert number.values["algo"]["learning_rate"] == 1e-2


def test_an_alias_composes_the_algorithm_with_its_tuned_sets():
    from rlzoo.algos.specs import ALIASES as OF_SPECS
    from rlzoo.config.compose import ALIASES

    assert ALIASES["algo"] == OF_SPECS
    by_alias = compose("train", ["algo=recurrent_ppo", "env=LunarLander"])
    assert by_alias.values == compose("train", ["algo=ppo_lstm", "env=LunarLander"]).values


def test_every_mistake_is_named_at_once():
    words = ["algo=pppo", "env=LunarLandr", "hyperparams=ppo/Nope", "lr=1,2", "x={", "env.kwargs.a=${oc.env:HOME}"]
    composition = compose("train", words)
    assert keys(composition) == {"algo", "env", "hyperparams", "lr", "", "env.kwargs.a"}
    text = "\n".join(map(str, composition.problems))
    assert "did you mean 'ppo'" in text
    assert "did you mean 'LunarLander'" in text


def test_unknown_keys_get_suggestions():
    composition = compose("train", ["learning_rate=1", "env.n_env=2", "total_timestep=5", "eval.frequ=3"])
    config, problems = check(TrainConfig, composition.values)
    assert config is None
    found = {problem.key: problem.message for problem in problems}
    assert "'algo.learning_rate'" in found["learning_rate"]
    assert "'n_envs'" in found["env.n_env"]
    assert "'total_timesteps'" in found["total_timestep"]
    assert "'freq'" in found["eval.frequ"]


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("total_timesteps=0", "total_timesteps"),
        ("total_timesteps=1.5", "total_timesteps"),
        ("total_timesteps=true", "total_timesteps"),
        ("total_timesteps='100'", "total_timesteps"),
        ("total_timesteps=nan", "total_timesteps"),
        ("total_timesteps=inf", "total_timesteps"),
        ("total_timesteps=null", "total_timesteps"),
        ("total_timesteps=[1]", "total_timesteps"),
        ("seed=-1", "seed"),
        ("env.n_envs=0", "env.n_envs"),
        ("env.vec_env=dumy", "env.vec_env"),
        ("eval.freq=never", "eval.freq"),
        ("eval.freq=-1", "eval.freq"),
        ("eval.deterministic=1", "eval.deterministic"),
        ("stop.reward=high", "stop.reward"),
        ("stop.minutes=0", "stop.minutes"),
        ("checkpoint.keep=0", "checkpoint.keep"),
        ("env=gym", "env.id"),
        ("~total_timesteps", "total_timesteps"),
        ("env.kwargs=5", "env.kwargs"),
        ("logger.tensorboard=5", "logger.tensorboard"),
        ("device=5", "device"),
    ],
)
def test_wrong_values_are_named_by_their_key(word, key):
    composition = compose("train", [word])
    config, problems = check(TrainConfig, composition.values)
    assert config is None
    assert [problem.key for problem in problems] == [key], problems


def test_whole_floats_are_whole_numbers():
    assert parse(compose("train", ["total_timesteps=1e6"]).values).total_timesteps == 1_000_000


def test_user_files_are_found_and_win_with_a_notice(elsewhere):
    write(elsewhere / "conf/env/MyEnv.yaml", "defaults: [gym, _self_]\nid: CartPole-v1\n")
    write(elsewhere / "conf/env/Pendulum.yaml", "defaults: [gym, _self_]\nid: CartPole-v1\n")
    write(elsewhere / "hyperparams/ppo/MyEnv.yaml", "algo: {n_steps: 55}\n")
    mine = compose("train", ["env=MyEnv"])
    assert mine.problems == ()
    assert mine.values["algo"]["n_steps"] == 55
    assert mine.hyperparams == ("hyperparams/ppo/MyEnv.yaml",)
    shadow = compose("train", ["env=Pendulum"])
    assert shadow.values["env"]["id"] == "CartPole-v1"
    assert any("instead of the shipped" in notice for notice in shadow.notices)


def test_an_unrelated_projects_files_change_nothing(elsewhere):
    expected = compose("train", []).values
    write(elsewhere / "conf/train.yaml", "defaults: [nothing]\ntotal_timesteps: 7\n")
    write(elsewhere / "conf/config.yaml", "hydra: {run: {dir: x}}\n")
    write(elsewhere / "conf/hydra/launcher/basic.yaml", "_target_: os.system\n")
    write(elsewhere / "conf/launcher/local.yaml", "name: evil\n")
    write(elsewhere / "conf/family/none.yaml", "total_timesteps: 7\n")
    assert compose("train", []).values == expected


@pytest.mark.parametrize(
    "text",
    [
        "id: CartPole-v1\nhydra: {callbacks: {a: {_target_: os.system}}}\n",
        "id: CartPole-v1\nkwargs: {a: {_target_: os.system}}\n",
        "id: ${oc.env:HOME}\n",
        "id: CartPole-v1\nextra: oc.env\nsummary: '${${env.extra}:HOME}'\n",
        "id: CartPole-v1\nextra: env\nkwargs: {a: ['x${oc.${env.extra}:HOME}']}\n",
        "defaults: [gym, override /hydra/launcher: x, _self_]\n",
        "defaults: [gym, {override /hydra/launcher: x}, _self_]\n",
        "defaults: [../../../secret]\n",
    ],
)
def test_user_files_are_data_only(elsewhere, text):
    write(elsewhere / "conf/env/MyEnv.yaml", text)
    with_error = []
    try:
        with_error = compose("train", ["env=MyEnv"]).problems
    except Exception as error:  # the kind does not matter: refused, with the file's name
        with_error = [error]
    assert any("MyEnv.yaml" in str(problem) for problem in with_error)


def test_a_syntax_error_in_a_user_file_names_its_place(elsewhere):
    write(elsewhere / "hyperparams/ppo/CartPole.yaml", "algo:\n  n_steps: [1\n")
    composition = compose("train", [])
    assert "hyperparams/ppo/CartPole.yaml:" in composition.problems[0].message


def test_references_that_grow_without_end(elsewhere):
    """Each names the one before twice: resolved, the last would have 2 ** 40 of the first."""
    lines = [f"  a{index}: ${{env.kwargs.a{index - 1}}}${{env.kwargs.a{index - 1}}}\n" for index in range(1, 41)]
    write(elsewhere / "conf/env/MyEnv.yaml", f"id: CartPole-v1\nkwargs:\n  a0: x\n{''.join(lines)}")
    (problem,) = [each for each in compose("train", ["env=MyEnv"]).problems if "more than 16 times" in str(each)]
    assert problem.key == "env.kwargs.a1"


def test_references_to_other_settings():
    composition = compose("train", ["checkpoint.freq=${eval.n_episodes}"])
    assert composition.values["checkpoint"]["freq"] == 3
    broken = compose("train", ["checkpoint.freq=${nothing.here}"])
    assert len(broken.problems) == 1


def test_override_lays_words_over_a_runs_own_config(elsewhere):
    write(elsewhere / "config.yaml", "algo: {name: dqn, buffer_size: 10}\nenv: {id: X, kwargs: {}}\n")
    result = override(elsewhere / "config.yaml", ["algo.buffer_size=5", "env.kwargs.gravity=-5", "algo=ppo"])
    assert result.values["algo"] == {"name": "dqn", "buffer_size": 5}
    assert result.values["env"]["kwargs"] == {"gravity": -5}
    assert keys(result) == {"algo"}


def test_sweeps_compose_every_combination():
    jobs, problems = expand_jobs(["algo=ppo,a2c", "seed=range(0,2)"])
    assert problems == []
    assert [[w.split("=")[1] for w in job] for job in jobs] == [["ppo", "0"], ["ppo", "1"], ["a2c", "0"], ["a2c", "1"]]


PLAIN_HYDRA_PROGRAM = """
import json, sys
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
root, *words = sys.argv[1:]
with initialize_config_dir(root + "/conf", version_base="1.3"):
    config = compose("train", [*words, f"hydra.searchpath=[file://{root}]"])
print(json.dumps(OmegaConf.to_container(config)))
"""


@pytest.mark.parametrize(
    "words", [["algo=dqn", "env=SpaceInvaders"], ["env=LunarLander"], ["algo=sac", "env=Pendulum"]]
)
def test_a_plain_hydra_program_loads_the_same_configuration(words):
    """`conf/` is an ordinary Hydra tree: Hydra's own composition gives the values that ours gives."""
    command = [sys.executable, "-c", PLAIN_HYDRA_PROGRAM, str(root()), *words]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert theirs == compose("train", words).values


def test_mistakes_in_a_request_keep_names_of_the_command_line():
    with pytest.raises(ConfigError) as error:
        parse(compose("train", ["total_timesteps=0"]).values)
    assert error.value.code == 2


def test_composing_imports_no_torch_and_is_quick():
    code = (
        "import sys; from rlzoo.config.compose import compose; from rlzoo.config.parse import parse;"
        "parse(compose('train', ['algo=dqn', 'env=SpaceInvaders']).values);"
        "assert not {'torch', 'gymnasium', 'stable_baselines3', 'numpy', 'optuna'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("word", ["env=null", "~env", "algo=null", "~algo", "launcher=null", "env=[CartPole]", "env=5"])
def test_a_group_takes_one_name(word):
    composition = compose("train", [word])
    assert [problem.key for problem in composition.problems] == [word.strip("~").partition("=")[0]]


@pytest.mark.parametrize("word", ["logger=null", "logger=[]", "~logger"])
def test_no_logger_is_csv_alone(word):
    composition = compose("train", [word])
    assert composition.problems == ()
    assert composition.values["logger"] == {"csv": {}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("defaults: 5\n", "must be a list"),
        ("defaults: [3]\n", "is not the name of a file"),
        ("defaults: [null]\n", "is not the name of a file"),
        ("defaults: [[gym]]\n", "is not the name of a file"),
        ("defaults: [Mine]\n", "in a circle"),
        ("defaults: [nowhere]\n", "Could not load 'env/nowhere'."),
    ],
)
def test_wrong_defaults_lists_are_said_in_words(elsewhere, text, expected):
    write(elsewhere / "conf/env/Mine.yaml", text + "id: CartPole-v1\n")
    try:
        problems = compose("train", ["env=Mine"]).problems
    except ConfigError as error:
        problems = error.problems
    assert [expected in problem.message for problem in problems] == [True]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("n_envs=4", "'env.n_envs'"), ("n_steps=5", "'algo.n_steps'"), ("gamma=0.9", "'algo.gamma'"), ("sed=1", "'seed'")],
)
def test_a_key_without_its_section_is_suggested_with_it(word, expected):
    _, problems = check(TrainConfig, compose("train", [word]).values)
    assert expected in problems[0].message


def test_an_unknown_key_is_not_suggested_itself():
    _, problems = check(TrainConfig, compose("train", ["env.foo=1"]).values)
    assert "'env.foo'" not in problems[0].message


def test_no_experiment_is_chosen_where_there_are_some(workdir):
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/mine.yaml").write_text("# @package _global_\ntotal_timesteps: 777\n")
    assert compose("train", ["experiment=mine"]).values["total_timesteps"] == 777
    for words in (["experiment=null"], ["experiment=mine", "experiment=null"], ["experiment=[]"]):
        composition = compose("train", words)
        assert composition.problems == ()
        assert composition.values["total_timesteps"] != 777


@pytest.mark.parametrize(
    ("command", "words", "key", "first"),
    [
        ("tune", ["algo=ppo", "env=CartPole", "search_space={}"], "search_space", "learning_rate"),
        ("train", ["algo=dqn", "env=SpaceInvaders", "env.wrappers={}"], "env.wrappers", "atari"),
        ("train", ["algo=ppo", "env=SpaceInvaders", "env.kwargs={}"], "env.kwargs", "frameskip"),
    ],
)
def test_an_empty_mapping_over_one_that_is_not_is_refused_with_the_way(command, words, key, first):
    (problem,) = compose(command, words).problems
    assert problem.key == key and "{} changes nothing" in problem.message and problem.hint.endswith(f"~{key}.{first}")
    assert not compose(command, [*words[:-1], problem.hint.rpartition(" ")[2]]).problems


def test_an_empty_mapping_over_nothing_is_taken():
    assert not compose("train", ["algo=ppo", "env=CartPole", "env.wrappers={}", "env.wrappers.flatten={}"]).problems


def test_an_edited_file_of_the_user_counts_at_once_in_the_same_process(elsewhere):
    file = elsewhere / "conf/experiment/mine.yaml"
    words = ["algo=ppo", "experiment=mine"]
    write(file, "# @package _global_\ndefaults:\n  - override /env: CartPole\nseed: 1\n")
    assert compose("train", words).choices["env"] == "CartPole"
    write(file, "# @package _global_\ndefaults:\n  - override /env: Acrobot\nseed: 1\n")
    assert compose("train", words).choices["env"] == "Acrobot"
    write(elsewhere / "conf/env/Acrobot.yaml", "defaults: [CartPole]\n")
    assert compose("train", words).values["env"]["id"] == "CartPole-v1"
    file.unlink()
    assert keys(compose("train", words)) == {"experiment"}


@pytest.mark.parametrize(
    "word", ["logger=[csv,csv]", "logger=[csv,tensorboard,csv]", "experiment=[unit2_taxi,unit2_taxi]"]
)
def test_what_is_chosen_twice_is_told(word):
    problems = compose("train", ["algo=q_learning", "env=Taxi", word]).problems
    assert [problem.message[-14:] for problem in problems] == ["more than once"]
