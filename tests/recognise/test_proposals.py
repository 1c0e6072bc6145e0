import numpy as np
import pytest

from tests.moving import background, film
from tinylib.annotations.tracks import Track
from tinylib.errors import UsageError
from tinylib.recognise.proposals import Detector, ProposalConfig, follow, propose, travelled
from tinylib.recognise.tracking import agreement
from tinylib.video import write_video


def watch(config=None, **kind):
    frames, truths = zip(*film(**kind), strict=True)
    tracks = follow(frames, Detector(background(kind.get("seed", 0)), 30.0, config))
    return tracks, [Track(str(n), "", boxes) for n, boxes in enumerate(truths[-1])]


@pytest.mark.parametrize("method", ["mog2", "knn"])
def test_who_walks_is_found_through_noise(method):
    tracks, truth = watch(ProposalConfig(method=method), noise=6.0, actors=2)
    assert len(tracks.tracks) == 2
    score = agreement(tracks.tracks, truth)
    assert score["recall"] > 0.9
    assert score["precision"] > 0.9
    assert [t.id for t in tracks.tracks] == ["1", "2"]


def test_boxes_stay_inside_the_frame():
    tracks, _ = watch()
    for x0, y0, x1, y1 in (box for track in tracks.tracks for box in track.boxes.values()):
        assert 0 <= x0 < x1 <= 160
        assert 0 <= y0 < y1 <= 120


def test_an_empty_noisy_scene_has_nothing():
    tracks, _ = watch(noise=8.0, still=True)
    assert tracks.tracks == ()
    assert tracks.frames == 90


def test_a_shaking_camera_is_held_still():
    tracks, truth = watch(shake=3, frames=80)
    assert tracks.shaken > 1
    score = agreement(tracks.tracks, truth)
    assert score["covered"] > 0.8
    assert score["precision"] > 0.8
    loose, _ = watch(ProposalConfig(shake=False), shake=3, frames=80)
    assert agreement(loose.tracks, truth)["precision"] < score["precision"] - 0.2


def test_light_that_is_switched_on_is_left_out():
    frames = [frame for frame, _ in film(frames=60)]
    frames[30:] = [np.clip(frame.astype(int) + 80, 0, 255).astype(np.uint8) for frame in frames[30:]]
    tracks = follow(frames, Detector(background(), 30.0))
    assert tracks.flooded > 0
    assert all(box[2] - box[0] < 60 for track in tracks.tracks for box in track.boxes.values())


def test_what_trembles_in_place_is_left_out():
    track = Track("1", "", {n: (10.0 + n % 2, 10, 20 + n % 2, 20) for n in range(50)})
    assert travelled(track) == pytest.approx(0.1)
    assert travelled(Track("1", "", {0: (0.0, 0, 10, 10), 1: (30.0, 0, 40, 10)})) == pytest.approx(3)


def test_it_reads_a_file_of_any_size_and_memory_does_not_grow(tmp_path):
    write_video(tmp_path / "a.mp4", (frame for frame, _ in film(frames=60)), fps=30)
    proposals = propose(tmp_path / "a.mp4")
    assert proposals.frames == 60
    assert len(proposals.tracks) == 1


@pytest.mark.parametrize("wrong", [{"method": "gmm"}, {"width": 0}, {"threshold": float("nan")}])
def test_configuration_is_checked(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ProposalConfig(**wrong)


def test_a_grey_coat_is_no_shadow():
    from tinylib.recognise.proposals import SHADOW, _without_shadows

    mask = np.zeros((60, 60), np.uint8)
    mask[10:40, 10:18] = SHADOW
    mask[10:16, 10:18] = 255  # a head, and the rest of somebody in grey
    mask[50:54, 20:50] = SHADOW
    mask[50:54, 46:50] = 255  # feet, and a shadow that lies
    moving = _without_shadows(mask)
    assert moving[10:40, 10:18].all()
    assert moving[50:54, 46:50].all()
    assert not moving[50:54, 20:46].any()


def test_real_people_from_afar(shared_data):
    """PETS 2009 S2.L1, view 1, seconds 9 to 18, against its ground truth."""
    import xml.etree.ElementTree as ElementTree

    from tinylib.video import iter_frames

    video, frames = shared_data / "surveillance/pets2009_s2l1_480x360.avi", 180
    truth: dict[str, dict] = {}
    for frame in ElementTree.parse(shared_data / "surveillance/PETS2009-S2L1.xml").getroot():
        number = int(frame.get("number"))
        for thing in frame.iter("object") if 90 <= number < frames else ():
            h, w, x, y = (0.625 * float(thing.find("box").get(k)) for k in ("h", "w", "xc", "yc"))
            truth.setdefault(thing.get("id"), {})[number] = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    first = np.median(list(iter_frames(video, stop=frames))[::9], axis=0).astype(np.uint8)
    tracks = follow(iter_frames(video, stop=frames), Detector(first, 10.0))
    score = agreement(tracks.tracks, [Track(key, "person", boxes) for key, boxes in truth.items()])
    assert score["recall"] > 0.65
    assert score["precision"] > 0.7
    assert score["covered"] > 0.8
