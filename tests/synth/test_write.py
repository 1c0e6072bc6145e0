"""From nothing to a TinyVIRAT-layout data set and its twins, small."""

import json

import numpy as np
import pytest

from tinylib.datasets.index import read_tinyvirat
from tinylib.errors import DataError, UsageError
from tinylib.files import sha256
from tinylib.synth.plan import Profile, shoots
from tinylib.synth.twins import twin
from tinylib.synth.write import ensure, generate, truth_file
from tinylib.video import probe, read_frames

TINY = Profile("tiny", train=4, validate=1, test=2, floor=0, orders=8, scale=0.5, longest=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth")
    return ensure(folder, TINY, 1, 1, workers=0)


def files(root):
    return {p.relative_to(root).as_posix(): sha256(p) for p in root.rglob("*") if p.is_file()}


def test_layout_is_read_and_clips_are_what_the_index_says(root):
    train, test = (read_tinyvirat(root, split, version=1) for split in ("train", "test"))
    assert len(train) >= 3
    assert len(test) >= 1
    for clip in train.clips:
        info = probe(train.file(clip))
        assert (info.frames, info.width, info.height) == (clip.frames, clip.width, clip.height)
        assert 40 <= clip.frames <= 150
        assert clip.width % 2 == 0
        assert 8 <= clip.width <= 128
    assert not {c.video_id for c in train.clips} & {c.video_id for c in test.clips}
    assert json.loads((root / "quarantine.json").read_text()) == []


def test_a_second_call_is_free_and_a_lost_video_comes_back_the_same(root):
    base = root.parent
    before = files(base)
    assert ensure(base.parent, TINY, 1, 1, workers=0) == root
    shoot = next(s for s in shoots(TINY, 1, ("V",)) if s.split == "test")
    truth = truth_file(base, shoot)
    name = json.loads(truth.read_text())["video"]
    truth.unlink()
    (base / "virat" / "videos" / f"{name}.mp4").unlink()
    report = generate(base, TINY, 1, workers=0, domains=("V",))
    assert report.reused == report.videos - 1
    assert files(base) == before


def test_another_seed_does_not_fit_into_the_folder(root):
    with pytest.raises(UsageError, match="holds other data"):
        generate(root.parent, TINY, 2, workers=0)


def test_a_twin_is_the_clip_at_another_size(root):
    index = read_tinyvirat(root, "train", version=1)
    clip = min(index.clips, key=lambda c: c.frames)
    again = twin(root, clip, clip.width, sensor=True)
    assert again.video.shape == (clip.frames, clip.width, clip.width, 3)
    t = clip.frames // 2
    big = twin(root, clip, 56)
    np.testing.assert_array_equal(big.video, twin(root.parent, clip, 56).video)
    assert big.foreground().any()
    assert not (big.masks.sum(1) > 1).any()  # a pixel shows one actor
    assert big.masks.shape[1] == len(big.kinds) == len(big.joints)
    changes = np.abs(np.diff(big.video.astype(int), axis=0)).sum(-1) > 60
    assert changes[:, ~big.foreground().any(0)].mean() < 0.02  # nothing moves where nobody ever is
    person = big.kinds.index("person") if "person" in big.kinds else None
    if person is not None:
        head = big.joints[person]["head"][t]
        assert (head > -20).all()
        assert (head < 76).all()
    noisy = twin(root, clip, 28, sensor=True)
    assert noisy.video.shape[1:] == (28, 28, 3)


def test_every_twin_lies_exactly_on_its_clip(root):
    index = read_tinyvirat(root, "train", version=1)
    for clip in index.clips:
        real = read_frames(index.file(clip)).mean((0, 3))  # over time, where the noise averages out
        ours = twin(root, clip, clip.width, sensor=True).video.mean((0, 3))
        like = {
            (dx, dy): np.corrcoef(np.roll(ours, (dy, dx), (0, 1))[4:-4, 4:-4].ravel(), real[4:-4, 4:-4].ravel())[0, 1]
            for dx in range(-2, 3)
            for dy in range(-2, 3)
        }
        assert max(like, key=lambda shift: like[shift]) == (0, 0)
        assert like[0, 0] > 0.85


def test_a_foreign_clip_is_refused(root):
    from dataclasses import replace

    clip = read_tinyvirat(root, "train", version=1).clips[0]
    with pytest.raises(DataError, match="knows no video"):
        twin(root, replace(clip, video_id="VIRAT_S_000000"), 56)
    with pytest.raises(UsageError, match="side"):
        twin(root, clip, 4)
