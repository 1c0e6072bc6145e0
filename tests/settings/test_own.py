from pathlib import Path

import pytest

from tinylib.errors import UsageError
from tinylib.evaluation.model_card import ModelCard
from tinylib.settings import OwnVideo
from tinylib.settings.parameters import PROFILES


@pytest.mark.parametrize("profile", PROFILES)
def test_the_network_that_it_trains_can_be_built(profile):
    import torch

    settings = OwnVideo.of(profile)
    card = ModelCard(
        model=settings.network.model,
        options=dict(settings.network.options),
        classes=("a", "b"),
        multi_label=True,
        frames=settings.frames,
        size=settings.size,
        sampler="strided",
    )
    assert ModelCard.read(card.description(), "x") == card
    with torch.device("meta"):
        card.build()


def test_the_video_is_the_user_s_or_one_of_synthvirat_s(tmp_path, monkeypatch):
    assert OwnVideo.of("smoke", video=str(tmp_path / "v.mp4")).file() == tmp_path / "v.mp4"
    assert OwnVideo.of("smoke", video="v.mp4").annotation() is None
    with pytest.raises(UsageError, match="give a video"):
        OwnVideo.of("smoke", data="ucf101").file()
    for name in ("VIRAT_S_2", "VIRAT_S_1"):
        file = tmp_path / "virat/annotations/test" / f"{name}.geom.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.setattr(OwnVideo, "dataset", lambda self: tmp_path / "tinyvirat")
    assert OwnVideo.of("smoke").file() == Path(tmp_path / "virat/videos/VIRAT_S_1.mp4")
