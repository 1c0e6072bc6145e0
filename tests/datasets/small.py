"""Small source videos and annotations for the tests of readers, rules and builder."""

from pathlib import Path

import numpy as np

from tinylib.video import write_video

Row = tuple[int, int, int, int, int, int]  # event type, first and last frame, x, y and speed in pixels a frame


def write_virat(folder: Path, video_id: str, events: list[Row], *, size: tuple[int, int] = (24, 40)) -> Path:
    """Release-2 text files of one video: event k has object k as its one actor, a box of `size` that moves right."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = size
    texts: dict[str, list[str]] = {"events": [], "mapping": [], "objects": []}
    for k, (kind, first, last, x, y, speed) in enumerate(events):
        n = last - first + 1
        flags = " ".join("1" if j == k else "0" for j in range(len(events)))
        texts["mapping"].append(f"{k} {kind} {n} {first} {last} 1  {flags}")
        for frame in range(first, last + 1):
            box = f"{x + speed * (frame - first)} {y} {width} {height}"
            texts["events"].append(f"{k} {kind} {n} {first} {last} {frame} {box}")
            texts["objects"].append(f"{k} {n} {frame} {box} 1")
    for part, lines in texts.items():
        (folder / f"{video_id}.viratdata.{part}.txt").write_text("\n".join(lines) + "\n")
    return folder / f"{video_id}.viratdata.events.txt"


def write_kpf(folder: Path, video_id: str, activities: list[tuple[str, int, int, list[int]]]) -> Path:
    """A KPF trio of MEVA's dialect: (name, first, last, actors); actor k stands at (50 k, 20), 30 by 40 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    acts, geom, types = ([f'- {{ meta: "{video_id}" }}'] for _ in range(3))
    actors = sorted({actor for *_, who in activities for actor in who})
    for k, (name, first, last, who) in enumerate(activities):
        span = f"timespan: [{{tsr0: [{first}, {last}]}}]"
        cast = ", ".join(f"{{id1: {actor}, {span}}}" for actor in who)
        acts.append(
            f"- {{ act: {{ act2: {{{name}: 1.0}}, id2: {100 + k}, {span}, src_status: janitor, actors: [{cast}] }} }}"
        )
    for actor in actors:
        frames = sorted({f for _, a, b, who in activities if actor in who for f in range(a, b + 1)})
        box = f"{50 * actor} 20 {50 * actor + 30} 60"
        geom += [
            f"- {{ geom: {{id1: {actor}, id0: {i}, ts0: {f}, ts1: {f / 30:.2f}, g0: {box}"
            f"{', keyframe: true' * (i == 0)} }} }}"
            for i, f in enumerate(frames)
        ]
        types.append(f"- {{ types: {{ id1: {actor}, cset3: {{ person: 1.0 }} }} }}")
    for part, lines in {"activities": acts, "geom": geom, "types": types}.items():
        (folder / f"{video_id}.{part}.yml").write_text("\n".join(lines) + "\n")
    return folder / f"{video_id}.activities.yml"


def write_scene(path: Path, frames: int, *, size: tuple[int, int] = (160, 240), seed: int = 0) -> None:
    """A video of `size` (height, width) in which every frame is another shade of a fixed pattern."""
    ramp = np.linspace(0, 160, size[1])[None, :, None] * np.ones((size[0], 1, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, ((ramp + 20 + (3 * f + 7 * seed) % 70).astype(np.uint8) for f in range(frames)))


def tree(root: Path) -> dict[str, bytes]:
    """Every file under `root`, hidden ones too, with its bytes."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
