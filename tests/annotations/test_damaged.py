"""Whatever happens to an annotation file, it is read or refused in one line that names it; never anything else."""

import random

import pytest

from tests.datasets.small import write_kpf, write_virat
from tinylib.annotations.kpf import read_kpf
from tinylib.annotations.virat import read_virat
from tinylib.building.rules import MevaRule, ViratRule, windows
from tinylib.errors import AnnotationError

INSERTS = (b"-", b"9" * 20, b"null", b"nan", b"1e9", b"*a", b"&a ", b"<<: ", b"../", b"2001-01-01", b"? ", b"true")


def damage(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return rng.choice(
        [
            data[:place] + data[place + rng.randrange(1, 40) :],
            data[:place] + bytes([rng.choice(b"0189-{}[]:,!\n \"'.x\xff\x00")]) + data[place + 1 :],
            data[:place],
            data[:place] + rng.choice(INSERTS) + data[place:],
            data[: place + 60] + data[place:],
        ]
    )


@pytest.mark.parametrize("kind", ["kpf", "virat"])
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, kind):
    if kind == "kpf":
        acts = [("person_talks_to_person", 10, 40, [1, 2]), ("vehicle_stops", 5, 20, [3])]
        main, read, rule = write_kpf(tmp_path, "2018-03-11.V", acts), read_kpf, MevaRule()
    else:
        main, read, rule = (
            write_virat(tmp_path, "V", [(9, 0, 44, 9, 9, 1), (12, 3, 9, 50, 9, 0)]),
            read_virat,
            ViratRule(),
        )
    rng, refused, named = random.Random(0), list[str](), 0
    for _ in range(250):
        victim = rng.choice(sorted(tmp_path.iterdir()))
        whole = victim.read_bytes()
        victim.write_bytes(damage(whole, rng))
        try:
            annotation = read(main)
            windows(annotation, rule)
            named += bool(annotation.notes)
            assert all("\n" not in note for note in annotation.notes)
            if kind == "kpf":
                assert annotation == read_kpf(main, fast=False)
        except AnnotationError as error:
            refused.append(str(error))
        victim.write_bytes(whole)
    assert refused
    assert named > 100
    assert all(str(tmp_path) in text and "\n" not in text for text in refused)
