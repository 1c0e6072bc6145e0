"""What is compiled draws what the libraries draw: polygons, averages and planes, pixel by pixel."""

import cv2
import numpy as np
import pytest

from tinylib.synth.filming import filling, planes


@pytest.mark.parametrize("seed", range(40))
def test_polygons_are_filled_as_opencv_fills_them(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(4, 60, 2)
    middle, reach = rng.uniform(-0.3, 1.3, 2) * (width, height), rng.uniform(0.5, 40)
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 15))))
    points = middle + reach * rng.uniform(0.3, 1, 2) * np.stack((np.cos(angles), np.sin(angles)), 1)
    corners = np.rint(points * 16).astype(np.int64)
    ours, theirs = np.zeros((2, height, width), np.uint8)
    filling.fill_convex(ours, corners, np.uint8(7))
    cv2.fillConvexPoly(theirs, corners.astype(np.int32), 7, cv2.LINE_8, 4)
    np.testing.assert_array_equal(ours, theirs)


def test_planes_are_those_of_ffmpeg():
    import av

    frame = np.random.default_rng(0).integers(0, 256, (48, 66, 3), dtype=np.uint8)
    out = np.empty((72, 66), np.uint8)
    red, green, blue = cv2.split(frame)
    planes.planar(red, green, blue, out)
    theirs = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p").to_ndarray()
    np.testing.assert_array_equal(out, theirs)
