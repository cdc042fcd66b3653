"""`rlzoo package`: what it prints, where it puts the folder, and its exit codes."""

import json
import signal
import subprocess
import sys
import time

import pytest

import rlzoo
from rlzoo.cli.main import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("package")
    words = ["algo=reinforce", "env=CartPole", "hyperparams=none", "total_timesteps=300", "checkpoint.freq=0"]
    return rlzoo.train(*words, "eval.n_episodes=1", "eval.final_n_episodes=1", "seed=0", f"runs_dir={root / 'runs'}")


def test_the_tree_is_printed_and_the_folder_is_there(run, workdir, capsys):
    assert main(["package", f"run={run.path}", "n_episodes=2", "video=false"]) == 0
    printed = capsys.readouterr().out.splitlines()
    folder = workdir / "packages" / "reinforce-CartPole-v1"
    begin = printed.index("packages/reinforce-CartPole-v1/")
    names = [line.split()[0] for line in printed[begin + 1 : -1]]
    assert sorted(names) == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert printed[-1].startswith(f"reinforce-CartPole-v1: {len(names)} files, ")
    assert any("mean ± std" in line for line in printed)
    assert run.read_results()[-1]["source"] == "package"


def test_json_tells_of_everything(run, tmp_path, capsys):
    words = [
        f"folder={tmp_path}/a folder",
        "repo_id=me/pole",
        "seeds=[5,6]",
        "deterministic=false",
        "license=apache-2.0",
    ]
    assert main(["package", f"run={run.path}", "video=false", *words, "checkpoint=last", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == f"{tmp_path}/a folder"
    assert (told["name"], told["repo_id"]) == ("reinforce-CartPole-v1", "me/pole")
    assert told["files"]["README.md"] == (tmp_path / "a folder" / "README.md").stat().st_size
    assert (told["result"]["seeds"], told["result"]["deterministic"]) == ([5, 6], False)
    assert told["result"]["checkpoint"] == "last"
    card = (tmp_path / "a folder" / "README.md").read_text()
    assert "rlzoo load-from-hub repo_id=me/pole" in card
    assert "license: apache-2.0" in card


def test_the_film_is_of_the_first_episode(run, tmp_path, capsys):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    assert main(["package", f"run={run.path}", f"folder={tmp_path}/a", "n_episodes=2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    film = tmp_path / "a" / "replay.mp4"
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(film))
    assert frames == told["result"]["lengths"][0] + 1
    assert seconds == pytest.approx(frames / 50, abs=0.03)
    assert "replay.mp4" in (tmp_path / "a" / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (
            ["n_episodes=0", "license=A B", "repo_id=pole"],
            2,
            ["n_episodes: must be at least 1", "license:", "repo_id:"],
        ),
        (["repo_id=../pole"], 2, ["repo_id: '../pole' is not the name of a repository"]),
        (["checkpoint=nope"], 2, ["no checkpoint 'nope'", "it has: last"]),
        (["foldr=x"], 2, ["foldr", "folder"]),
        (["device=cuda:99"], 2, ["is not there"]),
        (["folder=taken"], 5, ["not empty and is not a package of rlzoo's", "folder="]),
        (["run=nothing"], 2, ["there is no run 'nothing'"]),
    ],
)
def test_mistakes(run, workdir, capsys, words, code, expected):
    (workdir / "taken").mkdir()
    (workdir / "taken" / "file").touch()
    before = run.results_file.read_bytes()
    assert main(["package", f"run={run.path}", *words]) == code
    message = capsys.readouterr().err
    for part in expected:
        assert part in message
    assert [path.name for path in workdir.iterdir()] == ["taken"]
    assert run.results_file.read_bytes() == before


def test_an_interruption_leaves_nothing(run, workdir):
    before = run.results_file.read_bytes()
    words = ["package", f"run={run.path}", "folder=a/b/c", "n_episodes=1000000", "video=false"]
    process = subprocess.Popen([sys.executable, "-m", "rlzoo", *words], cwd=workdir, stderr=subprocess.PIPE, text=True)
    while not list(workdir.glob("a/b/.c.*.new")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "interrupted; nothing was packaged" in message
    assert list(workdir.iterdir()) == []
    assert run.results_file.read_bytes() == before


def test_missing_packages_are_named_with_the_line_that_installs_them(run, workdir):
    """In a Python that has neither, where the folder stays as it was."""
    code = (
        "import sys\n"
        "for name in ('huggingface_hub', 'imageio_ffmpeg'): sys.modules[name] = None\n"
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "from rlzoo.cli.main import main\n"
        f"sys.exit(main(['package', 'run={run.path}']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=workdir)
    assert done.returncode == 3, done.stderr
    assert 'pip install "hydra-rlzoo[hub,video,plot]"' in done.stderr
    assert list(workdir.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(run, workdir):
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
    code += "; from rlzoo.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = ["package", f"run={run.path}", "folder=new/out", "n_episodes=1", "video=false"]
    process = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert process.returncode == 5, process.stderr
    assert "cannot write new/out: File too large" in process.stderr
    assert not (workdir / "new").exists()


DRAWS = """
import gymnasium, numpy


class Env(gymnasium.Env):
    metadata = {"render_modes": MODES}
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return numpy.zeros(2, numpy.float32), {}

    def step(self, action):
        return numpy.zeros(2, numpy.float32), 1.0, True, False, {}

    def render(self):
        DRAW


gymnasium.register(__name__.replace("_", "") + "-v0", Env)
"""


@pytest.mark.parametrize(
    ("name", "modes", "draw"),
    [
        ("draws_nothing", [], ""),
        ("draws_text", ["ansi"], "return 'x'"),
        ("returns_none", ["rgb_array"], "return None"),
        ("fails", ["rgb_array"], "raise OSError('no GPU here')"),
        ("is_no_picture", ["rgb_array"], "return numpy.zeros((3, 3))"),
    ],
)
def test_what_cannot_be_filmed_is_packaged_without_or_told_how(name, modes, draw, workdir, monkeypatch, capsys):
    pytest.importorskip("imageio_ffmpeg")
    monkeypatch.syspath_prepend(workdir)
    (workdir / f"{name}.py").write_text(DRAWS.replace("MODES", repr(modes)).replace("DRAW", draw or "pass"))
    env_id = f"{name}:{name.replace('_', '')}-v0"
    words = ["algo=a2c", "env=gym", f"env.id={env_id}", "total_timesteps=20", "eval.freq=0", "logger=csv"]
    run = rlzoo.train(*words, "eval.final_n_episodes=1", "seed=0")
    code = main(["package", f"run={run.path}", "folder=pack"])
    said = capsys.readouterr().err
    if "rgb_array" in modes:
        assert code in (2, 4) and "video=false" in said and not (workdir / "pack").exists()
        assert main(["package", f"run={run.path}", "folder=pack", "video=false"]) == 0
    else:
        assert code == 0 and "there will be no film" in said
    assert (workdir / "pack" / "README.md").is_file() and not (workdir / "pack" / "replay.mp4").exists()
    assert main(["enjoy", f"run={run.path}", "n_episodes=1", "render=auto"]) == 0
