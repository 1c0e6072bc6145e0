from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinylib import models
from tinylib.errors import UsageError
from tinylib.settings import Baselines, DatasetStatistics, parameters
from tinylib.settings.parameters import PROFILES, Notebook
from tinylib.synth.write import resolve

NOTEBOOKS = Notebook.__subclasses__()


@pytest.mark.parametrize("notebook", NOTEBOOKS)
@pytest.mark.parametrize("profile", parameters.PROFILES)
def test_every_column_is_of_its_declared_types(notebook, profile):
    settings = notebook.of(profile)
    for line in notebook.right():
        assert parameters.conforms(getattr(settings, line.name), line.hint), line.name
    assert [f.name for f in fields(notebook)][:5] == list(parameters.COMMON)


def test_a_profile_is_its_column_and_overrides_win():
    assert DatasetStatistics.of("smoke").shown == 6
    assert DatasetStatistics.of("full").shown == 26
    assert DatasetStatistics.of("full", shown=3, seed=4) == DatasetStatistics(
        profile="full", shown=3, seed=4, browsed=200, probed=5000
    )
    assert DatasetStatistics.of("demo", shown=None).shown == 12  # None in a parameters cell: the profile's value
    with pytest.raises(FrozenInstanceError):
        DatasetStatistics.of("demo").shown = 1


@pytest.mark.parametrize(
    ("profile", "overrides", "says"),
    [
        ("smoke", {"showm": 3}, r"no parameter 'showm'; it has: profile \(str\).*shown \(int\)"),
        ("smoke", {"shown": "3"}, "shown must be int, got '3'"),
        ("smoke", {"shown": True}, "shown must be int, got True"),
        ("smoke", {"data": "imagenet"}, "data must be one of synthvirat, .*folder.*, got 'imagenet'"),
        ("quick", {}, "profile must be one of smoke, demo, full, got 'quick'"),
        ("smoke", {"seed": None}, "seed must be int, got None"),
    ],
)
def test_wrong_parameters_are_named_with_the_right_ones(profile, overrides, says):
    with pytest.raises(UsageError, match=says):
        DatasetStatistics.of(profile, **overrides)


def test_load_takes_the_declared_names_and_ignores_everything_else():
    namespace = {"profile": "demo", "seed": 3, "shown": 2, "unrelated": 5, "np": object()}
    settings = DatasetStatistics.load(namespace)
    assert (settings.profile, settings.seed, settings.shown) == ("demo", 3, 2)


def test_load_refuses_a_name_that_papermill_injected_in_vain():
    cells = ["", "profile: str = 'smoke'", "# Parameters\nseeed = 3\nprofile = 'smoke'\n"]
    with pytest.raises(UsageError, match="'seeed'"):
        DatasetStatistics.load({"profile": "smoke", "seeed": 3, "In": cells})
    # a cell of the user's own is nobody's business
    assert DatasetStatistics.load({"profile": "smoke", "seeed": 3, "In": ["", "seeed = 3"]}).seed == 0


def test_the_table_marks_the_chosen_column_and_shows_overrides():
    table = DatasetStatistics.of("demo").table()
    assert list(table.columns) == ["smoke", "▶ demo", "full"]
    assert table.loc["shown"].tolist() == [6, 12, 26]
    changed = DatasetStatistics.of("demo", shown=7).table()
    assert changed["this run"]["shown"] == 7


def test_full_baselines_are_the_papers_settings():
    rows = {(r.paper, r.row): r for r in Baselines.of("full").rows}
    assert len(rows) == 7
    i3d = rows["tinyaction", "I3D"]
    assert (i3d.frames, i3d.size, i3d.batch, i3d.epochs, i3d.lr) == (32, 224, 24, 200, 1e-3)
    assert rows["tinyvirat", "I3D"].size == 112


def test_declared_reads_annotated_literals_only():
    lines = parameters.declared("scale: int = 8\nnames: list[str] = ['a']\nlow: float | None = None")
    assert [(d.name, d.hint, d.value) for d in lines] == [
        ("scale", "int", 8),
        ("names", "list[str]", ["a"]),
        ("low", "float | None", None),
    ]
    for wrong in ("scale = 8", "scale: int = 2 * 4", "import os"):
        with pytest.raises(UsageError, match="parameters cell"):
            parameters.declared(wrong)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_conforms_agrees_with_isinstance(value):
    is_int = isinstance(value, int) and not isinstance(value, bool)
    assert parameters.conforms(value, "int") == is_int
    assert parameters.conforms(value, "float | None") == (value is None or is_int or isinstance(value, float))
    assert parameters.conforms(value, "list[int]") == isinstance(value, list)
    assert parameters.conforms([value], "tuple[str, ...]") == isinstance(value, str)


def test_relative_paths_start_at_the_folder_that_holds_the_notebooks(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    for where in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(where)
        assert Notebook.of("smoke").root == tmp_path / "data"
        assert Notebook.of("smoke", data_root="/else").root.as_posix() == "/else"
    assert Notebook.of("smoke", data="tinyvirat-v2").evaluation == "val"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_row_can_be_built_and_described(profile):
    for row in Baselines.of(profile).rows:
        with torch.device("meta"):
            network = models.create(row.model, num_classes=26, **dict(row.options))
        assert network.get_parameter(f"{network.head_name}.weight").shape[0] == 26


def test_the_demonstration_films_a_part_of_its_profile(monkeypatch, tmp_path):
    versions = []
    monkeypatch.setattr(
        "tinylib.synth.write.ensure", lambda *given, **more: versions.append((*given, more)) or tmp_path
    )
    for profile in parameters.PROFILES:
        assert DatasetStatistics.of(profile, data_root=str(tmp_path)).dataset() == tmp_path
    clips = {"smoke": None, "demo": 300, "full": None}
    assert versions == [(tmp_path, name, 0, {"version": 1, "clips": n}) for name, n in clips.items()]
    assert sum(getattr(resolve("demo", 900), split) for split in ("train", "validate", "test")) == pytest.approx(
        900, abs=2
    )


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("1e-1", "float", 0.1),
        ("1", "float", 1.0),
        ("nan", "float", "nan"),  # left as text: the check refuses it by name
        ("010", "int", 10),
        ("1.5", "int", "1.5"),
        ("2024-01-05", "str", "2024-01-05"),
        ("on", "str", "on"),
        ("true", "str", "true"),
        ("", "str", ""),
        ("50%", "str", "50%"),
        ("'x'", "str", "'x'"),
        ("null", "str", "null"),
        ("on", "bool", True),
        ("No", "bool", False),
        ("1", "bool", "1"),
        ("on", "str | None", "on"),
        ("null", "str | None", None),
        ("", "int | None", None),
        ("", "str | None", ""),
        ("7", "int | None", 7),
        ("[1, 2]", "list[int]", [1, 2]),
        ("[no, 2024-01-05]", "tuple[str, ...]", ["no", "2024-01-05"]),
        ("[[8, 1e-1], [2, 3]]", "list[list[float]]", [[8.0, 0.1], [2.0, 3.0]]),
        ("[1, x]", "list[int]", "[1, x]"),
        ("28", "int | tuple[int, ...]", 28),
        ("[28, 56]", "int | tuple[int, ...]", [28, 56]),
        ("{a: 1}", "dict", {"a": 1}),
        ("[1", "list[int]", "[1"),
    ],
)
def test_typed_text_is_read_as_declared(text, hint, value):
    read = parameters.parsed(text, hint)
    assert read == value
    assert type(read) is type(value)
