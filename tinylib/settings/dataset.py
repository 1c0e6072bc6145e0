"""What notebooks 01 and 02 run with: the dataset itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinylib.errors import UsageError
from tinylib.settings.parameters import Notebook, home, scaled


@dataclass(frozen=True, kw_only=True)
class BuildTinyvirat(Notebook):
    """01: from raw video and annotations to tiny clips."""

    run_dir: str = "runs/01_build_tinyvirat"
    annotations: str = ""  # folders of your own: KPF or VIRAT Release 2 files, and
    videos: str = ""  # the videos they describe; "" takes the full frames that SynthVIRAT was cut from
    rule: str = "virat"  # or "meva"
    shown: int = scaled(6, 12, 24)  # clips in the contact sheet
    twins: int = scaled(2, 4, 6)  # clips shown with their high-resolution twins
    workers: int = scaled(1, 2, 8)  # processes that cut clips

    def folders(self) -> tuple[Path, Path]:
        """(annotations, videos) to build from; SynthVIRAT's are made on first use."""
        if self.rule not in ("virat", "meva"):
            raise UsageError(f"rule must be 'virat' or 'meva', got {self.rule!r}")
        if bool(self.annotations) != bool(self.videos):
            raise UsageError("annotations and videos belong together: give both or neither")
        if self.annotations:
            return home() / self.annotations, home() / self.videos
        if not self.dataset_source.synthetic:
            raise UsageError(f"data {self.data!r} has no full frames here: give annotations and videos")
        base = self.split("train").root.parent
        return base / self.rule / "annotations", base / self.rule / "videos"


@dataclass(frozen=True, kw_only=True)
class DatasetStatistics(Notebook):
    """02: Table I and Figs 1-4 of TinyVIRAT, Table 1 and Figs 1-3 of TinyAction."""

    run_dir: str = "runs/02_dataset_statistics"
    shown: int = scaled(6, 12, 26)  # clips in the gallery
    browsed: int = scaled(12, 120, 200)  # clips in the browser
    probed: int = scaled(8, 100, 5000)  # videos whose frames are counted against the index
