"""Settings of notebook 07: what they refuse, and that every profile's pictures fit its networks."""

import pytest

from tinylib.errors import UsageError
from tinylib.methods.attention_transfer import SCHEMES
from tinylib.settings import AttentionTransfer
from tinylib.settings.parameters import PROFILES


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"reading": "large"}, "reading: expected one of enlarged, native, found 'large'"),
        ({"camera": "phone"}, "camera: expected one of paper, natural"),
        ({"start": "scratch"}, "start: expected one of student, teacher"),
        ({"motion": "sound"}, "motion: expected one of difference, flow"),
        ({"rows": ("Student", "KD")}, "rows: expected some of Student, SAT, .*found 'KD'"),
        ({"rows": ("SAT", "TAT")}, "rows: 'Student' is what every gain is against"),
        ({"tables": ("Table 5",)}, "tables: expected some of Table 1, Table 2, Table 3, Table 4, found 'Table 5'"),
    ],
)
def test_wrong_choices_are_named(wrong, says):
    with pytest.raises(UsageError, match=says):
        AttentionTransfer.of("smoke", **wrong)


@pytest.mark.parametrize("profile", PROFILES)
def test_students_see_no_more_than_teachers_and_stores_hold_enough_frames(profile):
    settings = AttentionTransfer.of(profile)
    for size in (settings.low, *settings.sizes):
        assert all(small <= large for small, large in zip(size, settings.high, strict=True))
        assert size[0] * 4 == size[1] * 3
    for backbone in (*settings.backbones, settings.streams):
        assert backbone.segments * backbone.length <= settings.kept
    assert set(settings.rows) <= set(SCHEMES)
    assert settings.rows[0] == "Student"
