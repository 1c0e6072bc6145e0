"""From light to a surveillance recording: optics, wind, exposure, noise. The codec does the rest.

What is linear and does not move is done once on the background; a frame costs its touched patches and the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tinylib.synth.filming.render import GAMMA, Image, Patch

ROLLS = 16  # places of the noise bank that are used
MARGIN = 6  # px of surroundings that the optics reach


@dataclass(frozen=True)
class Sensor:
    """Every strength of the chain; the class defaults are a mid-range camera."""

    blur: float = 0.8  # sigma of the lens, px
    sharpen: float = 0.3  # halo of the camera's own sharpening
    wind: float = 0.2  # sigma of the shaking, px, AR(1) with 0.9
    drift: float = 0.02  # of the exposure, slowly
    shot: float = 0.0018  # noise variance per unit of linear light
    read: float = 1.2 / 255  # sigma of the read-out noise, linear light
    row: float = 0.12 / 255  # sigma of the noise that a row shares
    grain: float = 0.45  # px: demosaicing correlates neighbours
    crf: int = 26  # of the recording
    group: int = 45  # frames between key frames of the recording

    @staticmethod
    def draw(rng: np.random.Generator, *, indoor: bool = False) -> Sensor:
        """A camera of the shelf; `indoor`: no wind."""
        return Sensor(
            blur=float(rng.uniform(0.55, 0.95)),
            sharpen=float(rng.uniform(0, 0.4)),
            wind=0.0 if indoor else float(rng.choice((0.0, rng.uniform(0.1, 0.35)))),
            drift=float(rng.uniform(0.005, 0.02)),
            shot=float(np.exp(rng.uniform(np.log(0.0006), np.log(0.003)))),
            read=float(rng.uniform(0.4, 1.6)) / 255,
            crf=int(rng.integers(22, 30)),
            group=int(rng.integers(30, 61)),
        )

    def clean(self) -> Sensor:
        """The same view with the chain switched off."""
        return replace(self, blur=0.0, sharpen=0.0, wind=0.0, drift=0.0, shot=0.0, read=0.0, row=0.0, crf=12)

    def seen_at(self, scale: float) -> Sensor:
        """The optics of this camera where `scale` pixels stand for one of its own (for enlarged twins)."""
        return replace(self, blur=self.blur * scale, wind=self.wind * scale)


class Chain:
    """One recording's sensor: give it rendered frames in order, get what the camera writes."""

    def __init__(self, sensor: Sensor, still: Image, seed: int):
        """still: the empty view (H, W, 3) before optics."""
        self.sensor, self.rng = sensor, np.random.default_rng((seed, 21))
        self.height, self.width = still.shape[:2]
        self.still = self.optics(still)
        self.shift, self.phase = np.zeros(2), self.rng.uniform(0, 2 * np.pi, 2)
        self._buffers = np.empty_like(self.still), np.empty_like(self.still)
        self.noisy = sensor.shot > 0 or sensor.read > 0
        if self.noisy:
            bank = self._bank()
            light = (np.arange(256) / 255) ** GAMMA
            slope = (1 / GAMMA) * np.maximum(light, 0.012) ** (1 / GAMMA - 1)  # of the gamma curve
            sigma = 255 * np.sqrt(sensor.shot * light + sensor.read**2) * slope
            self.sigma = np.rint(np.clip(sigma * 16, 0, 255)).astype(np.uint8)  # 8-bit steps, in sixteenths
            corners = self.rng.integers(0, 64, (ROLLS, 2))
            self.rolls = [bank[dy : dy + self.height, dx : dx + self.width] for dy, dx in corners]
            self.hiss = [self._noise(self.still, roll).astype(np.int8) for roll in self.rolls]

    def optics(self, image: Image) -> Image:
        """Lens blur and sharpening."""
        out = cv2.GaussianBlur(image, (0, 0), self.sensor.blur) if self.sensor.blur > 0.2 else image
        if self.sensor.sharpen:
            soft = cv2.GaussianBlur(out, (0, 0), 1.2)
            out = cv2.addWeighted(out, 1 + self.sensor.sharpen, soft, -self.sensor.sharpen, 0)
        return np.asarray(out)

    def _bank(self) -> NDArray[np.int8]:
        """Noise of unit sigma (in 1/32) a little larger than the frame, to be rolled about."""
        shape = (self.height + 64, self.width + 64, 3)
        noise = self.rng.standard_normal(shape, dtype=np.float32)
        if self.sensor.grain > 0.2:
            noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), self.sensor.grain), np.float32)
        noise /= noise.std()
        share = self.sensor.row / max(self.sensor.read, 1e-6)
        noise += share * self.rng.standard_normal((shape[0], 1, 1), dtype=np.float32)
        return np.clip(np.rint(noise * 32), -127, 127).astype(np.int8)

    def _noise(self, frame: Image, bank: NDArray[np.int8]) -> NDArray[np.int16]:
        """Noise as strong as the light in `frame` makes it."""
        return np.asarray(cv2.multiply(cv2.LUT(frame, self.sigma), bank, scale=1 / 512, dtype=cv2.CV_16S))

    def record(self, rendered: Image, patches: list[Patch], time: int) -> Image:
        """The recorded frame (H, W, 3), good until the next call.

        rendered: the picture before the sensor, which differs from the empty view only inside `patches`.
        """
        from tinylib.synth.filming import filling

        frame, other = self._buffers  # fresh arrays of this size would cost more in page faults than the arithmetic
        np.copyto(frame, self.still)
        for patch in patches:
            x0, y0 = max(patch.x0 - MARGIN, 0), max(patch.y0 - MARGIN, 0)
            x1, y1 = min(patch.x1 + MARGIN, self.width), min(patch.y1 + MARGIN, self.height)
            left, top = max(x0 - MARGIN, 0), max(y0 - MARGIN, 0)
            seen = self.optics(rendered[top : y1 + MARGIN, left : x1 + MARGIN])
            frame[y0:y1, x0:x1] = seen[y0 - top : y1 - top, x0 - left : x1 - left]
        if self.sensor.wind:
            self.shift = 0.9 * self.shift + self.rng.normal(0, self.sensor.wind * np.sqrt(1 - 0.81), 2)
            filling.shaken(frame, self.shift[0], self.shift[1], other)
            frame, other = other, frame
        if self.sensor.drift:
            beat = np.sin(2 * np.pi * np.array((0.11, 0.27)) * time / 30 + self.phase).sum() / 2
            cv2.convertScaleAbs(frame, dst=frame, alpha=1 + self.sensor.drift * float(beat) / GAMMA)
        if self.noisy:
            now = int(self.rng.integers(ROLLS))
            filling.hissed(frame, self.hiss[now], other)
            for patch in patches:  # light has changed there
                filling.noisy(frame, self.sigma, self.rolls[now], other, patch.x0, patch.y0, patch.x1, patch.y1)
            frame = other
        return frame
