"""Reads films back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np


def read(path: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Every frame of a film, (height, width, 3) uint8 each, and what its file says of itself."""
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    process = reader.gi_frame.f_locals["process"]  # whose pipes the reader leaves open
    width, height = about["size"]
    frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    process.stdin.close()
    process.stdout.close()
    return frames, about


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference, in the 256 steps of a colour."""
    return float(np.abs(first.astype(float) - second).mean())
