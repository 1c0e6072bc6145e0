"""Odd files that every player shows: numbering from the first whole picture, empty slots, covers, seams, damage."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.video.test_frames import encode, moving, psnr
from tinylib.errors import ClipError
from tinylib.video import iter_pictures, probe, probe_damaged, read_frames, write_video


def slotted(path: Path, frames: np.ndarray, slots: list[int]) -> Path:
    """An AVI whose pictures lie in these slots."""
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25, options={"qscale": "2"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for slot, frame in zip(slots, frames, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = slot, Fraction(1, 25)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


def test_an_empty_slot_of_an_avi_shows_the_picture_before_it(tmp_path):
    sent = moving(10)
    path = slotted(tmp_path / "a.avi", sent, [0, 1, 2, 5, 6, 7, 8, 9, 10, 12])
    assert probe(path).frames == probe(path, exact=False).frames == 13
    read = read_frames(path)
    nearest = [int(np.argmin([np.abs(frame.astype(int) - other).mean() for other in sent])) for frame in read]
    assert nearest == [0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 8, 9]
    np.testing.assert_array_equal(read_frames(path, [4, 11]), read[[2, 10]])


def test_a_recording_begins_with_its_first_picture_that_decodes(tmp_path):
    import av

    whole = encode(tmp_path / "whole.mkv", moving(60), "libx264", "yuv420p", **{"x264-params": "keyint=20:scenecut=0"})
    with av.open(str(whole)) as source, av.open(str(tmp_path / "late.mkv"), "w") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number >= 13:
                packet.stream = stream
                file.mux(packet)
    late = tmp_path / "late.mkv"
    assert probe(late).frames == probe(late, exact=False).frames == 40
    assert "cannot be shown" in probe(late).note
    np.testing.assert_array_equal(read_frames(late), read_frames(whole)[20:])


def test_joined_transport_streams_are_read_whole_though_their_clock_starts_anew(tmp_path):
    parts = [
        encode(tmp_path / f"{n}.ts", moving(60)[20 * n : 20 * n + 20], "libx264", "yuv420p", bf="0") for n in range(3)
    ]
    (tmp_path / "day.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    assert probe(tmp_path / "day.ts").frames == 60
    assert psnr(read_frames(tmp_path / "day.ts"), moving(60)) > 26


def test_damage_costs_the_frames_up_to_the_next_key_frame_and_no_others(tmp_path):
    import av

    path = tmp_path / "v.mp4"
    write_video(path, moving(60), keyframe_interval=10)
    good, data = read_frames(path), bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        place, size = [(p.pos, p.size) for p in file.demux(video=0) if p.size][23]
    data[place + 8 : place + size] = bytes((37 * k) % 251 for k in range(size - 8))
    path.write_bytes(data)
    read = dict(iter_pictures(path))
    lost = set(range(60)) - read.keys()
    assert 29 in lost
    assert lost <= set(range(20, 30))
    for number, frame in read.items():
        np.testing.assert_array_equal(frame, good[number])
    np.testing.assert_array_equal(read_frames(path, [5, 45], backend="pyav"), good[[5, 45]])
    with pytest.raises(ClipError, match=rf"frame {min(lost)} of 60 is damaged"):
        probe(path)


def test_a_file_cut_off_is_read_as_far_as_it_goes_by_those_who_take_damage(tmp_path):
    data = encode(tmp_path / "whole.avi", moving(93), "mpeg4", "yuv420p").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) * 6 // 10])
    info = probe_damaged(tmp_path / "cut.avi")
    assert 0 < info.frames < 93
    assert "claims 93 frames" in info.note
    with pytest.raises(ClipError, match="cut off"):
        probe(tmp_path / "cut.avi")
