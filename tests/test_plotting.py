"""Learning curves: the numbers that are drawn, and a picture that shows them."""

import pytest

from rlzoo.evaluation.plot import evaluation_curve, learning_curve, training_curve
from rlzoo.runs.run import Run

METRICS = """\
step,rollout/ep_rew_mean,train/loss
100,1.5,
200,,0.5
300,nan,0.25
400,4.0,0.125
"""
EVALUATIONS = """\
timesteps,mean_reward,std_reward,returns
100,2.0,1.0,"[1.0, 3.0]"
200,5.0,0.0,"[5.0, 5.0]"
300,inf,nan,"[]"
400,5.0,2.0,"[3.0, 7.0]"
"""


@pytest.fixture
def run(tmp_path):
    made = Run(tmp_path)
    made.config_file.write_text("algo: {name: ppo}\nenv: {id: CartPole-v1}\nseed: 3\n")
    made.metrics_file.write_text(METRICS)
    made.evaluations_file.write_text(EVALUATIONS)
    best = made.checkpoint("best").manifest
    best.parent.mkdir(parents=True)
    best.write_text('{"num_timesteps": 400, "selected": true}')
    return made


def test_the_numbers_are_those_of_the_tables(run):
    assert training_curve(run) == ((100, 400), (1.5, 4.0), None)
    assert evaluation_curve(run) == ((100, 200, 400), (2.0, 5.0, 5.0), (1.0, 0.0, 2.0))


def test_a_picture_is_drawn_with_the_same_bytes_each_time(run, tmp_path):
    import numpy as np
    from matplotlib.image import imread

    assert learning_curve(run, tmp_path / "a.png")
    assert learning_curve(run, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = imread(tmp_path / "a.png")[..., :3]
    assert picture.shape == (480, 900, 3)
    blue, orange = np.array([0x1F, 0x77, 0xB4]) / 255, np.array([0xFF, 0x7F, 0x0E]) / 255
    blues, oranges = (np.argwhere(np.abs(picture - color).max(axis=2) < 0.02) for color in (blue, orange))
    assert len(blues) > 300
    legend = picture.shape[1] // 2
    star = oranges[oranges[:, 1] > legend]
    assert len(star) > 30
    assert star[:, 1].mean() > blues[:, 1].mean()  # the checkpoint that ships, on the right


def test_without_a_best_that_was_shown_to_be_better_there_is_no_star(run, tmp_path):
    from matplotlib.image import imread

    assert learning_curve(run, tmp_path / "star.png")
    run.checkpoint("best").manifest.write_text('{"num_timesteps": 400}')
    assert learning_curve(run, tmp_path / "none.png")
    star, none = (imread(tmp_path / name)[..., :3] for name in ("star.png", "none.png"))
    assert (star != none).any()


def test_without_numbers_there_is_no_picture(run, tmp_path):
    run.metrics_file.unlink()
    run.evaluations_file.write_text("timesteps,mean_reward,std_reward,returns\n")
    assert not learning_curve(run, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_one_table_is_enough(run, tmp_path):
    run.evaluations_file.unlink()
    assert learning_curve(run, tmp_path / "a.png")
    run.metrics_file.write_text("step,train/loss\n1,2\n")
    assert not learning_curve(run, tmp_path / "b.png")


def test_a_single_measurement_is_seen(run, tmp_path):
    import numpy as np
    from matplotlib.image import imread

    run.metrics_file.write_text("step,rollout/ep_rew_mean\n100,1.5\n")
    run.evaluations_file.unlink()
    assert learning_curve(run, tmp_path / "a.png")
    picture = imread(tmp_path / "a.png")[..., :3]
    gray = np.argwhere(np.abs(picture - np.array([0x7F, 0x7F, 0x7F]) / 255).max(axis=2) < 0.02)
    below_the_legend = gray[gray[:, 0] > 150]
    assert len(below_the_legend) > 10


def test_a_table_that_cannot_be_read_is_not_drawn(run, tmp_path):
    run.metrics_file.write_bytes(b'\x00\xff\xfe,"')
    run.evaluations_file.write_text("timesteps,mean_reward\n1," + "9" * 200_000)
    assert not learning_curve(run, tmp_path / "a.png")


def test_settings_of_a_folder_have_no_say(run, tmp_path):
    """What `matplotlibrc` says: `text.usetex` has a program read and write files."""
    import matplotlib

    assert learning_curve(run, tmp_path / "plain.png")
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red"}):
        assert learning_curve(run, tmp_path / "set.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "set.png").read_bytes()
