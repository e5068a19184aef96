"""What is behind the objects? Twelve plain gradients and eight scenic backgrounds, as float RGB in [0, 1]."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from .vocabulary import COLORS

SIDE = 128
Picture = np.ndarray
"""float32, SIDE x SIDE x 3."""

_axis = np.arange(SIDE, dtype=np.float32) / SIDE
X, Y = _axis[None, :, None], _axis[:, None, None]


def _rgb(*channels: int) -> np.ndarray:
    return np.array(channels, np.float32) / 255


def _mix(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    return low + (high - low) * np.clip(share, 0, 1)


def _jitter(rng: Generator) -> np.ndarray:
    """A small shift of the whole sky's colour."""
    return rng.normal(0, 4 / 255, 3).astype(np.float32)


def _horizon(rng: Generator) -> tuple[float, np.ndarray]:
    """Returns the height of the horizon and a soft mask of the ground below its wavy line."""
    height = rng.uniform(0.5, 0.68)
    line = height + 0.03 * np.sin(X * 6.3 * rng.uniform(0.5, 1.5) + rng.uniform(0, 6))
    return height, np.clip((Y - line) * SIDE / 1.5, 0, 1)


def _landscape(rng: Generator, sky: tuple, ground: tuple, fall: float) -> Picture:
    height, mask = _horizon(rng)
    above = _mix(_rgb(*sky[0]) + _jitter(rng), _rgb(*sky[1]), Y / height)
    below = _mix(_rgb(*ground[0]), _rgb(*ground[1]), (Y - height) * fall)
    return _mix(above, below, mask)


def grass(rng: Generator) -> Picture:
    return _landscape(rng, ((110, 185, 245), (205, 232, 252)), ((110, 190, 70), (60, 140, 45)), 2.2)


def snow(rng: Generator) -> Picture:
    return _landscape(rng, ((150, 180, 215), (215, 228, 240)), ((250, 252, 255), (215, 228, 242)), 2.0)


def desert(rng: Generator) -> Picture:
    return _landscape(rng, ((120, 195, 235), (245, 225, 185)), ((235, 195, 125), (205, 150, 85)), 2.0)


def beach(rng: Generator) -> Picture:
    height, sand = _horizon(rng)
    sky = _mix(_rgb(130, 200, 250) + _jitter(rng), _rgb(220, 240, 252), Y / height)
    sea = _mix(_rgb(35, 130, 200), _rgb(80, 190, 215), (Y - height + 0.14) * 6)
    shore = _mix(_rgb(245, 222, 165), _rgb(228, 196, 135), (Y - height) * 2)
    return _mix(_mix(sky, sea, (Y - height + 0.14) * SIDE / 1.2), shore, sand)


def sunset(rng: Generator) -> Picture:
    sky = _mix(_rgb(85, 50, 120) + _jitter(rng), _rgb(255, 140, 70), Y * 1.5)
    sky = _mix(sky, _rgb(255, 205, 110), (Y - 0.5) * 2.2)
    return _mix(sky, _rgb(70, 40, 70), (Y - 0.84) * SIDE / 1.5)


def sky(rng: Generator) -> Picture:
    picture = _mix(_rgb(70, 150, 235) + _jitter(rng), _rgb(190, 225, 250), Y)
    for _ in range(rng.integers(2, 5)):
        x, y, width = rng.random(), rng.random(), rng.uniform(0.08, 0.2)
        distance = ((X - x) / width) ** 2 + ((Y - y) / (width * 0.45)) ** 2
        picture = _mix(picture, _rgb(250, 252, 255), np.minimum(1.6 - distance * 1.3, 0.9))
    return picture


def water(rng: Generator) -> Picture:
    picture = _mix(_rgb(45, 160, 210) + _jitter(rng), _rgb(10, 50, 110), Y * 1.1)
    for _ in range(rng.integers(3, 8)):
        x, y, radius = rng.random(), rng.random(), rng.uniform(0.015, 0.035)
        distance = np.sqrt((X - x) ** 2 + (Y - y) ** 2)
        picture = picture + 0.35 * np.clip(1 - abs(distance - radius) / 0.008, 0, 1)
    return picture


def night(rng: Generator) -> Picture:
    picture = _mix(_rgb(10, 12, 45) + _jitter(rng), _rgb(45, 40, 95), Y) + np.zeros((1, SIDE, 1), np.float32)
    stars = rng.integers(15, 35)
    rows, columns = rng.integers(0, SIDE, stars), rng.integers(0, SIDE, stars)
    picture[rows, columns] = _rgb(255, 255, 217) * rng.uniform(0.5, 1, (stars, 1))
    return picture


SCENIC: dict[str, Callable[[Generator], Picture]] = {
    "grass": grass,
    "night": night,
    "sunset": sunset,
    "beach": beach,
    "snow": snow,
    "sky": sky,
    "water": water,
    "desert": desert,
}


def plain(color: str, rng: Generator) -> Picture:
    """A colour with a slight slope of brightness, so that no two are the same."""
    slope = (Y - 0.5) * rng.uniform(-0.22, 0.22) + (X - 0.5) * rng.uniform(-0.12, 0.12)
    return _rgb(*COLORS[color]) + slope


def paint(background: str, rng: Generator) -> Picture:
    """Returns a fresh picture of the background, by its name in the vocabulary."""
    picture = SCENIC[background](rng) if background in SCENIC else plain(background, rng)
    return np.clip(np.broadcast_to(picture, (SIDE, SIDE, 3)), 0, 1).astype(np.float32)
