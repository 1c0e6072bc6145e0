"""The chain of lens, sensor and codec stays in the bands of surveillance recordings."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from tinylib.synth.filming.sensor import Chain, Sensor
from tinylib.synth.laws import NOISE_BANDS, noise
from tinylib.synth.write import PRESET
from tinylib.video import read_frames, write_video


def still():
    rough = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((160, 192, 3)).astype(np.float32), (0, 0), 3)
    return np.clip(110 + 75 * rough, 0, 255).astype(np.uint8)


def recorded(sensor, file=None, frames=20):
    chain = Chain(sensor, still(), 0)
    video = np.array([chain.record(still(), [], t).copy() for t in range(frames)])
    if file is None:
        return video
    write_video(file, iter(video), 30.0, crf=sensor.crf, keyframe_interval=sensor.group, preset=PRESET)
    return read_frames(file)


@pytest.mark.parametrize("seed", range(6))
def test_recordings_keep_to_the_bands_of_noise_and_blockiness(seed, tmp_path):
    sensor = replace(Sensor.draw(np.random.default_rng(seed)), wind=0.0)
    raw, coded = noise(recorded(sensor)), noise(recorded(sensor, tmp_path / "x.mp4"))
    clean = noise(recorded(sensor.clean(), tmp_path / "clean.mp4"))
    assert 0.8 < raw["sigma"] < 6
    assert 0.5 < raw["high"] < 0.76  # white noise has 0.80
    for name, (low, high) in NOISE_BANDS.items():
        assert low < coded[name] < high, name
    assert coded["sigma"] < raw["sigma"]
    assert coded["high"] < raw["high"]  # the codec takes the fine grain first
    assert clean["sigma"] < coded["sigma"]


def test_a_clean_recording_is_nearer_to_the_scene(tmp_path):
    sensor = replace(Sensor.draw(np.random.default_rng(1)), wind=0.0)
    truth = still().astype(float)
    error = {
        name: float(np.abs(recorded(each, tmp_path / f"{name}.mp4") - truth).mean())
        for name, each in (("sensor", sensor), ("clean", sensor.clean()))
    }
    assert error["clean"] < 0.7 * error["sensor"]


def test_noise_is_measured_as_it_was_made():
    rng = np.random.default_rng(0)
    white = 100 + 4 * rng.standard_normal((16, 64, 64, 1)).repeat(3, axis=3)
    assert noise(white)["sigma"] == pytest.approx(4, rel=0.03)
    assert noise(white)["high"] == pytest.approx(1 - np.pi / 16, abs=0.02)
    assert noise(white)["blockiness"] == pytest.approx(1, abs=0.03)
    blocks = np.kron(rng.integers(0, 255, (8, 8)), np.ones((8, 8)))[None, :, :, None].repeat(4, 0).repeat(3, 3)
    assert noise(blocks)["blockiness"] > 100
