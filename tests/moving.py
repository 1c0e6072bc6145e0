"""A small camera picture in which people and cars are rectangles."""

import numpy as np

HEIGHT, WIDTH = 120, 160


def background(seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(70, 150, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 8, 0), 8, 1)


def film(frames=90, *, noise=3.0, shake=0, seed=0, actors=1, still=False):
    """Frames and the true box of each actor by frame: the first walks right, the second left, on other lines."""
    rng = np.random.default_rng((seed, 1))
    scene = background(seed)
    truth = [{} for _ in range(actors)]
    for number in range(frames):
        frame = scene.astype(float).copy()
        for place in range(actors if not still else 0):
            x = 10 + 1.4 * number if place == 0 else WIDTH - 22 - 1.2 * number
            x0, y0 = round(x), 30 + 45 * place
            frame[y0 : y0 + 26, max(0, x0) : x0 + 10] = (230, 40 + 150 * place, 30)
            if x0 >= 0 and x0 + 10 <= WIDTH:
                truth[place][number] = (float(x0), float(y0), float(x0 + 10), float(y0 + 26))
        dx, dy = rng.integers(-shake, shake + 1, 2) if shake else (0, 0)
        frame = np.roll(frame, (dy, dx), (0, 1)) + rng.normal(0, noise, frame.shape)
        yield np.clip(frame, 0, 255).astype(np.uint8), truth
