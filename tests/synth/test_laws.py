"""The label, side and length laws: what is planned, and how near a set can come to the real one."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylib.synth.annotation import _Extent, _number
from tinylib.synth.filming.camera import scene_camera
from tinylib.synth.laws import divergence, least_divergence, top_sets
from tinylib.synth.plan import (
    MIX,
    PROFILES,
    SPLITS,
    STILL,
    combos,
    draw_side,
    pieces,
    quotas,
    rarest,
    shoots,
    statistics,
    streams,
    support,
)


def planned(profile, seed, domain, split):
    """Label sets of the clips that a plan should give, with their weights."""
    sets = Counter()
    for shoot in shoots(profile, seed, (domain,)):
        if split in (shoot.split, "all"):
            for o in shoot.orders:
                if o.labels:
                    sets[o.labels] += streams(o.labels, domain) * pieces(o.labels, domain, o.frames, o.chunk)
    return sets


def classes(sets):
    count = Counter()
    for labels, n in sets.items():
        for name in labels:
            count[name] += n
    return count


def as_clips(sets, scale=2):
    return [labels for labels, n in sets.items() for _ in range(round(scale * n))]


def test_the_real_histogram_diverges_by_nothing_and_a_missing_class_by_its_share():
    table = combos("V")
    real = as_clips(table, 1)
    assert divergence(real) == pytest.approx(0, abs=1e-12)
    count = support("V")
    whole = sum(count.values())
    without = [labels for labels in real if "Talking" not in labels]
    ours = Counter(name for labels in without for name in labels)
    q = {name: max(ours[name], 0.5) for name in count}
    hand = sum(n / whole * np.log(n / whole / (q[name] / sum(q.values()))) for name, n in count.items())
    assert divergence(without) == pytest.approx(hand)
    assert divergence(without) > 0.01


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_set_that_keeps_the_floor_comes_nearer_than_the_least(seed):
    count = support("V")
    share = np.array(list(count.values()), float) / sum(combos("V").values())
    low, whole = 10 + 540 * share, (760 + 540) * share.sum()
    rng = np.random.default_rng(seed)
    wish = np.maximum(low, share * 1300 * rng.lognormal(0, rng.uniform(0, 0.5), len(share)))
    spare = wish - low
    ours = low + spare * (whole - low.sum()) / spare.sum()
    p, q = share / share.sum(), ours / ours.sum()
    assert (p * np.log(p / q)).sum() >= least_divergence(760, 540, 10) - 1e-9


def test_a_floor_costs_divergence_and_more_clips_pay_for_it():
    assert least_divergence(1000, 500, 0) == pytest.approx(0, abs=1e-9)
    assert least_divergence(760, 540, 10) > 0.02  # the bar cannot hold with so few clips
    assert least_divergence(PROFILES["demo"].train, 540, 10) < 0.015
    assert least_divergence(6276, 6553, 10) < 1e-4
    assert np.isnan(least_divergence(20, 0, 10))


def test_order_of_sets_forgives_what_chance_swaps():
    table = combos("V")
    same = top_sets(as_clips(table, 1))
    assert same["rank_correlation"] == pytest.approx(1.0)
    assert same["swapped"] == 0
    assert 150 < same["clear_pairs"] < 190  # of all 190
    names = sorted(table, key=table.get, reverse=True)
    near, far = dict(table), dict(table)
    near[names[18]], near[names[19]] = table[names[19]], table[names[18]]
    far[names[0]], far[names[19]] = table[names[19]], table[names[0]]
    assert top_sets(as_clips(near, 1))["swapped"] == 0
    assert top_sets(as_clips(far, 1))["swapped"] > 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_the_demo_s_plan_keeps_the_label_law_with_its_floor(seed):
    demo = PROFILES["demo"]
    vignettes = planned(demo, seed, "V", "all")
    assert divergence(as_clips(vignettes)) < 0.02
    assert sum(len(k) * n for k, n in vignettes.items()) / sum(vignettes.values()) == pytest.approx(1.484, abs=0.03)
    train = classes(planned(demo, seed, "V", "train"))
    assert min(train[name] for name in support("V")) >= demo.floor
    assert divergence(as_clips(planned(demo, seed, "V", "test"))) < 0.02
    for split in SPLITS:
        have, other = (sum(planned(demo, seed, domain, split).values()) for domain in "VM")
        assert have == pytest.approx(demo.clips("V", split), rel=0.1)
        assert have / (have + other) == pytest.approx(MIX[split], abs=0.04)


def test_a_balanced_evaluation_has_as_many_of_every_class():
    even = replace(PROFILES["demo"], balanced_eval=True)
    for domain, split, most in (("V", "test", "activity_walking"), ("M", "validate", None)):
        count = classes(planned(even, 0, domain, split))
        assert set(count) == set(support(domain))
        count.pop(most, None)  # walks with every Push and Misc
        assert max(count.values()) <= 1.4 * min(count.values())
    natural = [o.labels for s in shoots(PROFILES["demo"], 0, ("V",)) if s.split == "train" for o in s.orders]
    assert natural == [o.labels for s in shoots(even, 0, ("V",)) if s.split == "train" for o in s.orders]


def test_quotas_sum_up_and_lift_without_more_labels():
    for clips, floor in ((1000, 10), (400, 0), (760, 12)):
        want = quotas("V", clips, floor)
        assert sum(want.values()) == pytest.approx(clips)
        assert min(classes(want).values()) >= floor - 1e-6
        assert sum(len(k) * n for k, n in want.items()) / clips == pytest.approx(1.484, abs=0.01)


def test_sides_of_every_frequent_class_follow_the_real_quantiles():
    table, rng = combos("V"), np.random.default_rng(0)
    sides = {labels: [draw_side(labels, "V", rng) for _ in range(6 * n)] for labels, n in table.items()}
    for name, n in support("V").items():
        if n > 100:
            drawn_sides = 1.035 * np.concatenate([drawn for labels, drawn in sides.items() if name in labels])
            shares = [(drawn_sides <= side).mean() for side in statistics()["V"]["sides"][name]]
            np.testing.assert_allclose(shares[:4], (0.05, 0.25, 0.5, 0.75), atol=0.05)
    assert rarest(("activity_walking", "Push"), "V") == "Push"
    assert draw_side(("activity_walking", "Push"), "V", rng, 0.001) > 90  # the least of them, too, is large


def test_who_stands_large_is_dealt_to_a_camera_that_is_near():
    todo = shoots(PROFILES["demo"], 0, ("V",))
    tallest = {shoot.scene: scene_camera(shoot.scene, "V", shoot.scale)[0].tallest() for shoot in todo}
    large = 0
    for shoot in todo:
        best = max(tallest[other.scene] for other in todo if other.split == shoot.split)
        for o in shoot.orders:
            if o.labels and set(o.labels) <= STILL and not o.crowd:
                assert tallest[shoot.scene] >= min(o.side, best)
                large += o.side > 100
    assert large > 10


def test_an_annotator_s_number_gives_chunks_that_are_small_enough_and_leave_no_rest():
    way = {f: (float(f), 0.0, 40.0 + f, 40.0) for f in range(300)}  # 40 px, and a pixel a frame
    extent = _Extent([way], 0, 299)
    assert extent.side(10, 60) == 89
    for wanted, endless in ((4, True), (5, False)):
        key = _number("X", [0, 300], wanted, extent, set(), np.random.default_rng(0), endless=endless)
        rng = np.random.default_rng((0, crc32(b"X"), crc32(key.encode())))
        ends = [0]
        while 300 - ends[-1] >= 40:
            ends.append(ends[-1] + int(rng.integers(40, 151)))
        assert max(min(b, 300) - a for a, b in pairwise(ends)) <= 87
        assert len(ends) == wanted + 1
        assert ends[-1] <= 300 or not endless
    assert _number("X", [], 1, extent, {"1"}, np.random.default_rng(0)) not in ("", "1")
