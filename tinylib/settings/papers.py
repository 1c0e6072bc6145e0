"""Settings that a paper's own file gives its notebooks in three columns, as the typed dataclass of all the others."""

from __future__ import annotations

from dataclasses import field, make_dataclass

from tinylib.errors import DataError, UsageError
from tinylib.results.paper_files import planned
from tinylib.settings.parameters import PROFILES, Notebook, conforms, scaled


def of_paper(notebook: str) -> type[Notebook]:
    """The settings of a notebook from `tinylib/papers/`: `of_paper("14_new").load(globals())` in its second cell.

    A field says its `type` and either a `value` or one for each of smoke, demo and full. DataError names a field whose
    value is of another type.
    """
    plans = planned()
    if notebook not in plans:
        raise UsageError(f"no paper lists notebook {notebook!r}; there are {', '.join(plans)}")
    fields: list[tuple[str, str, object]] = [("run_dir", "str", field(default=f"runs/{notebook}"))]
    for name, line in (plans[notebook].settings or {}).items():
        where = f"notebook {notebook}, setting {name}"
        if "type" not in line or not ("value" in line or all(profile in line for profile in PROFILES)):
            raise DataError(f"{where}: expected a type, and a value or one for each of {', '.join(PROFILES)}")
        values = [line["value"]] if "value" in line else [line[profile] for profile in PROFILES]
        for value in values:
            if not conforms(value, line["type"]):
                raise DataError(f"{where}: {value!r} is not {line['type']}")
        plain = [tuple(value) if isinstance(value, list) else value for value in values]
        fields.append((name, line["type"], field(default=plain[0]) if "value" in line else scaled(*plain)))
    title = "".join(part.capitalize() for part in notebook.split("_")[1:]) or "Settings"
    return make_dataclass(title, fields, bases=(Notebook,), frozen=True, kw_only=True)
