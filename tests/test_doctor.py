"""`rlzoo doctor`: what is broken is found by trying it, whatever it is, and every row has the line that fixes it."""

import json
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rlzoo.cli.main import main
from rlzoo.doctor import doctor

REPOSITORY = Path(__file__).resolve().parent.parent
HIDDEN = ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL")


def run(*words, cwd=None, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    environment |= {"PYTHONPATH": str(REPOSITORY), **variables}
    command = [sys.executable, "-m", "rlzoo", "doctor", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


@pytest.fixture
def folder(tmp_path):
    """Packages that stand before the real ones: two that cannot be loaded, and one that kills its process."""
    broken = "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')\n"
    (tmp_path / "cv2.py").write_text(broken)
    (tmp_path / "wandb.py").write_text("import no_such_module_of_wandb\n")
    (tmp_path / "ray.py").write_text("import os\nos.kill(os.getpid(), 11)\n")
    return tmp_path


def test_everything_that_is_broken_is_found_with_the_line_that_mends_it(folder):
    """One command, as it loads everything: broken packages, a folder of runs that is a file, no screen, no Hub."""
    path = os.pathsep.join((str(folder), str(REPOSITORY)))
    occupied = folder / "runs"
    occupied.write_text("a file\n")
    result = run(
        "--json", f"runs_dir={occupied}", cwd=folder, PYTHONPATH=path, DISPLAY=":4242", HF_TOKEN="hf_" + "x" * 34
    )
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert result.returncode == 3
    assert json.loads(result.stdout)["ok"] is False
    assert "x" * 34 not in result.stdout + result.stderr  # the token
    assert checks["torch"]["state"] == "ok"

    cv2, wandb, ray = checks["cv2"], checks["[wandb]"], checks["[ray]"]
    assert (cv2["state"], cv2["core"]) == ("broken", True)
    assert "libGL.so.1" in cv2["detail"]
    assert cv2["fix"] == doctor.install("libGL.so.1")
    assert wandb["state"] == "broken"
    assert "no_such_module_of_wandb" in wandb["detail"]
    assert wandb["fix"] == "pip install --force-reinstall --no-deps wandb"
    assert ray["state"] == "broken"
    assert "ends the process with code -11" in ray["detail"]
    assert checks["[slurm]"]["state"] != "broken"  # asked after it

    runs, display = checks["runs"], checks["display"]
    assert runs["state"] == "broken"
    assert "is not a folder" in runs["detail"]
    assert "runs_dir=" in runs["fix"]
    assert (display["state"], display["fix"]) == ("broken", "unset DISPLAY")
    assert ":4242" in display["detail"]
    if checks["[mujoco]"]["state"] == "ok":
        assert (checks["GL"]["state"], checks["GL"]["fix"]) == ("broken", "unset DISPLAY")
    assert checks["Hub login"]["state"] == "offline"  # HF_HUB_OFFLINE=1 in every test


def test_a_whole_installation_is_no_failure(tmp_path):
    result = run("--json", cwd=tmp_path, HF_HOME=str(tmp_path), HF_TOKEN="")
    found = json.loads(result.stdout)
    broken = [
        check for check in found["checks"] if check["state"] == "broken" and check["name"] != "GL"
    ]  # the system's
    assert (result.returncode, found["ok"], broken) == (0, True, [])
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["display"]["state"] == ("missing" if sys.platform == "linux" else "ok")
    assert "108 ROMs" in checks["Atari"]["detail"] or "ROMs" in checks["Atari"]["detail"]
    assert checks["Hub login"]["state"] == "missing" and "hf auth login" in checks["Hub login"]["fix"]
    assert all(check["fix"] for check in checks.values() if check["state"] in ("missing", "broken"))
    assert list(tmp_path.glob("runs")) == []  # nothing is made to find out whether it could be


def test_the_table_survives_the_loss_of_the_package_that_draws_it(tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError('no rich today')\n")
    path = os.pathsep.join((str(tmp_path), str(REPOSITORY)))
    result = run(cwd=tmp_path, PYTHONPATH=path)
    assert result.returncode == 3
    assert "rich: broken: rich does not load: ImportError: no rich today" in result.stdout
    assert "Traceback" not in result.stderr


def test_every_extra_is_looked_at():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras) - {"dev"}


def test_every_core_dependency_is_looked_at():
    lines = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {line.partition("[")[0].split(">")[0].strip().lower() for line in lines}
    assert names <= {doctor.distribution(module).lower() for module in doctor.CORE} | {"torch", "ale-py"}


def test_a_folder_that_refuses_files_is_found(tmp_path):
    if os.geteuid() == 0:
        refused = Path("/proc/self/runs")  # not even root can write there
    else:
        refused = tmp_path / "read-only" / "runs"
        refused.parent.mkdir(mode=0o555)
    assert doctor.write_problem(refused)
    assert doctor.write_problem(tmp_path / "a" / "b") is None
    assert not (tmp_path / "a").exists()


def test_a_screen_is_one_that_takes_connections(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if port >= 6000 and port - 6000 <= 9999:
            assert doctor.screen_answers(f"127.0.0.1:{port - 6000}.0")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0/tmp/.X11-unix/X4243")
        server.listen()
        assert doctor.screen_answers(":4243")
    for name in (":4243", "", "nonsense", ":", "::::", "127.0.0.1:9999"):
        assert not doctor.screen_answers(name)


def test_a_version_out_of_range_is_broken(monkeypatch):
    real = doctor.metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "3.99" if name == "mujoco" else real(name))
    (wrong,) = [found for found in doctor._wrong_versions("robotics") if found[0] == "mujoco"]
    assert wrong == ("mujoco", "mujoco 3.99 is installed, mujoco<3.12 is needed", 'pip install "mujoco<3.12"')
    assert not list(doctor._wrong_versions("mujoco"))


def test_unknown_words_are_refused(capsys):
    assert main(["doctor", "everything"]) == 2
    assert main(["doctor", "runs_dir="]) == 2
    assert "rlzoo doctor [runs_dir=…]" in capsys.readouterr().err
