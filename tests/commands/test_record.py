"""`rlzoo record`: which film lands where, what is said of it, and that a mistake leaves nothing."""

import json
import sys

import pytest

import rlzoo
from rlzoo.cli.main import main
from rlzoo.errors import RlzooError
from rlzoo.play import record
from tests.films import read
from tests.selected import with_best


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Checkpoints of steps 32, 64 and 96, best and last."""
    root = tmp_path_factory.mktemp("record")
    words = ["algo=ppo", "env=CartPole", "hyperparams=none", "algo.n_steps=32", "algo.batch_size=32", "logger=[]"]
    words += ["total_timesteps=96", "checkpoint.freq=32", "checkpoint.keep=10", "eval.freq=64", "eval.n_episodes=1"]
    words += ["eval.final_n_episodes=1", "seed=0", "device=cpu", f"runs_dir={root / 'runs'}"]
    return with_best(rlzoo.train(*words))


def films(run):
    return sorted(path.name for path in run.videos_dir.iterdir()) if run.videos_dir.exists() else []


def test_mistakes_leave_nothing(run, capsys):
    """First of all tests here: there is no folder of films yet."""
    assert main(["record", f"run={run.path}", "fps=0", "path=film.avi", "n_episodes=0", "gif=1"]) == 2
    said = capsys.readouterr().err
    assert "4 problems with this request" in said
    for words in ("fps: must be greater than 0", "path: must end in .mp4", "n_episodes: must be at least 1", "gif: "):
        assert words in said
    assert films(run) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"checkpoint": "nope"}, "it has:"),
        ({"env_words": ["env.kwargs.gravty=-5"]}, "gravty"),
        ({"env_words": ["algo.gamma=0.5"]}, "only env"),
        ({"device": "gpu"}, "device: must be auto"),
        ({"seeds": []}, "seeds: must be a list of 1 or more"),
        ({"path": "film"}, r"path: must end in \.mp4"),
    ],
)
def test_mistakes_are_explained(run, words, expected):
    env_words = words.pop("env_words", [])
    with pytest.raises(RlzooError, match=expected):
        record(run, *env_words, **words)
    assert films(run) == []


def test_without_the_package_nothing_is_loaded(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert main(["record", f"run={run.path}"]) == 3
    assert 'pip install "hydra-rlzoo[video]"' in capsys.readouterr().err
    assert films(run) == []


def test_a_film_of_the_best_checkpoint(run, capsys):
    assert main(["record", f"run={run.path}", "checkpoint=best"]) == 0
    output = capsys.readouterr()
    assert films(run) == ["best.mp4"]
    frames, _ = read(run.videos_dir / "best.mp4")
    assert f"best.mp4: {len(frames)} frames, 50 a second: {len(frames) / 50:.1f} s" in output.out
    assert "checkpoint best, deterministic actions" in output.err
    assert rlzoo.load(run, "best").evaluate(n_episodes=1).lengths == (len(frames) - 1,)


def test_as_json(run, tmp_path, capsys):
    path = tmp_path / "films" / "my.mp4"
    words = ["checkpoint=last", "seeds=[7,8]", "overlay=true", "gif=true", "fps=10", f"path={path}"]
    assert main(["record", f"run={run.path}", *words, "env.kwargs.sutton_barto_reward=true", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["path"] == str(path)
    assert printed["gif"] == str(path.with_suffix(".gif"))
    assert (printed["seeds"], printed["fps"], printed["checkpoints"]) == ([7, 8], 10.0, ["last", "last"])
    assert printed["n_frames"] == sum(printed["lengths"]) + 2 == len(read(path)[0])
    assert printed["seconds"] == printed["n_frames"] / 10
    assert printed["env"] == ["env.kwargs.sutton_barto_reward=true"]
    assert printed["returns"] == [-1.0, -1.0]  # the reward of that variant


def test_the_progress_of_the_training(run, capsys):
    assert main(["record", f"run={run.path}", "checkpoint=all", "n_timesteps=4", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["path"] == str(run.videos_dir / "progress.mp4")
    steps = sorted({checkpoint.num_timesteps for checkpoint in run.checkpoints()})
    assert len(steps) >= 3
    frames, about = read(run.videos_dir / "progress.mp4")
    assert len(frames) == printed["n_frames"] == 5 * len(steps)  # of each the first state and four steps
    assert about["size"] == (600, 424)  # a line of text above


def test_few_moments_are_said(run, capsys, monkeypatch):
    monkeypatch.setattr("rlzoo.play.FEW", 10)
    record(run, checkpoint="all", n_timesteps=1)
    assert "checkpoint.keep=20 keeps more" in capsys.readouterr().err
