"""The encoder: what it writes, and that a film which fails is not there."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation.record import Film, enlarged
from tests.films import difference, read
from tests.results import make_run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def picture(number, height=40, width=60):
    """Grey, with a white bar that moves."""
    frame = np.full((height, width, 3), 100, np.uint8)
    frame[:, 4 * number : 4 * number + 4] = 255
    return frame


def test_frames_come_back_in_order(tmp_path):
    with Film(tmp_path / "new" / "film.mp4", 10) as film:
        for number in range(12):
            film.add(picture(number))
    frames, about = read(film.path)
    assert (len(frames), film.n_frames, about["fps"], about["duration"]) == (12, 12, 10.0, 1.2)
    for number, frame in enumerate(frames):
        assert frame.shape == (40, 60, 3)
        assert difference(frame, picture(number)) < 4
    assert names(film.path.parent) == ["film.mp4"]


def test_what_a_player_needs_comes_before_the_pictures(tmp_path):
    with Film(tmp_path / "film.mp4", 10) as film:
        film.add(picture(0))
    content = film.path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(("height", "width", "size"), [(31, 47, (48, 32)), (30, 47, (48, 30)), (31, 46, (46, 32))])
def test_odd_sizes_are_filled_up(height, width, size, tmp_path):
    with Film(tmp_path / "film.mp4", 10) as film:
        film.add(picture(2, height, width))
    frames, about = read(film.path)
    assert about["size"] == size
    assert difference(frames[0][:height, :width], picture(2, height, width)) < 4


@pytest.mark.parametrize(("size", "factor"), [((48, 48), 9), ((210, 160), 2), ((399, 3), 2), ((400, 600), 1)])
def test_small_pictures_are_enlarged_by_whole_numbers(size, factor):
    small = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    large = enlarged(small)
    assert large.shape == (size[0] * factor, size[1] * factor, 3)
    assert np.array_equal(large[::factor, ::factor], small)
    assert np.array_equal(large[factor - 1 :: factor, factor - 1 :: factor], small)


def test_a_film_has_one_size(tmp_path):
    message = re.escape("frame 1 is 62x40 pixels, the ones before are 60x40")
    with pytest.raises(RlzooError, match=message), Film(tmp_path / "film.mp4", 10) as film:
        film.add(picture(0))
        film.add(picture(0, width=62))
    assert names(tmp_path) == []


def test_a_failure_leaves_the_film_of_before(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"the one of before")
    with pytest.raises(KeyboardInterrupt), Film(path, 10, gif=True) as film:
        film.add(picture(0))
        raise KeyboardInterrupt
    assert path.read_bytes() == b"the one of before"
    assert names(tmp_path) == ["film.mp4"]


def test_an_encoder_that_is_killed(tmp_path):
    with pytest.raises(RlzooError, match=r"film.mp4 was not made: the video encoder was killed by signal 9") as caught:  # noqa: SIM117
        with Film(tmp_path / "film.mp4", 10) as film:
            film.add(picture(0))
            os.kill(film._process.pid, signal.SIGKILL)
            for number in range(10_000):
                film.add(picture(number % 10))
    assert caught.value.code == ExitCode.STORAGE
    assert names(tmp_path) == []


def test_an_encoder_that_fails_says_what_it_said(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nhead -c 100 > /dev/null\necho 'film: No space left on device' >&2\nexit 228\n")
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    with pytest.raises(RlzooError) as caught, Film(tmp_path / "films" / "film.mp4", 10) as film:
        film.add(picture(0))
    assert "ended with code 228" in caught.value.message
    assert "No space left on device" in caught.value.hint
    assert names(tmp_path / "films") == []


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a folder that cannot be written to")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RlzooError, match="Permission denied") as caught, Film(tmp_path / "film.mp4", 10) as film:
        film.add(picture(0))
    assert caught.value.code == ExitCode.STORAGE


@pytest.mark.parametrize("n_frames", [0, 2])
def test_a_folder_that_becomes_a_link_while_it_is_filmed(n_frames, tmp_path):
    """Nothing is written where it leads, neither before the first frame nor at the end."""
    run = make_run(tmp_path / "runs", "ppo", "CartPole-v1", [])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(RlzooError, match="is a link") as caught, Film(run.path / "videos" / "last.mp4", 10) as film:
        for number in range(n_frames):
            film.add(picture(number))
        if n_frames:
            film.path.parent.rename(tmp_path / "moved")
        film.path.parent.symlink_to(elsewhere)
        film.add(picture(n_frames))
    assert caught.value.code == ExitCode.UNSAFE and not names(elsewhere)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "films").write_text("")
    with pytest.raises(RlzooError, match="cannot write") as caught, Film(tmp_path / "films" / "film.mp4", 10) as film:
        film.add(picture(0))
    assert caught.value.code == ExitCode.STORAGE


@pytest.mark.parametrize("name", ["film.avi", "film", "film.gif"])
def test_only_mp4(name, tmp_path):
    with pytest.raises(RlzooError, match=r"a film is an .mp4 file"):
        Film(tmp_path / name, 10)


def test_a_folder_of_that_name(tmp_path):
    (tmp_path / "film.mp4").mkdir()
    with pytest.raises(RlzooError, match="is a folder"):
        Film(tmp_path / "film.mp4", 10)


def test_what_a_killed_process_left_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".film.{ended.pid}-abc123.tmp.mp4").write_bytes(b"half")
    (tmp_path / f".film.{os.getppid()}-abc123.tmp.mp4").write_bytes(b"at work")
    (tmp_path / ".own.tmp.mp4").write_bytes(b"somebody's")
    with Film(tmp_path / "film.mp4", 10) as film:
        film.add(picture(0))
    assert names(tmp_path) == [f".film.{os.getppid()}-abc123.tmp.mp4", ".own.tmp.mp4", "film.mp4"]


def test_without_its_package_a_film_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(RlzooError, match="needs the package imageio-ffmpeg") as caught:
        Film(tmp_path / "film.mp4", 10)
    assert caught.value.code == ExitCode.MISSING
    assert caught.value.hint == 'pip install "hydra-rlzoo[video]"'
