"""Names as they are: a second font for characters that the first lacks (or one warning), and `$` is no formula."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, findfont, fontManager, get_font
from matplotlib.text import Text

# of many that have a character these are looked at first: made for the screen, regular weight
PREFERRED = ("Noto Sans", "Source Han Sans", "Hiragino Sans", "PingFang", "Microsoft YaHei", "Malgun Gothic", "Meiryo")
NOTE = "no installed font has {characters} of {names}: drawn as boxes; a font such as Noto Sans CJK shows them"


@contextmanager
def readable(figure: Figure) -> Iterator[None]:
    """While the block draws, texts with characters that their font lacks have a second one; else one UserWarning.

    Texts are shown as they are: no name is read as a formula, whose errors would end the drawing.
    """
    lost: dict[str, str] = {}
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if "$" in text.get_text() and r"\mathdefault" not in text.get_text():  # the ticks of matplotlib's own
            text.set_parse_math(False)
        missing = lacking(text.get_text(), findfont(text.get_fontproperties()))
        families = second_fonts(missing) if missing else ()
        if families:
            text.set_fontfamily([*dict.fromkeys([*text.get_fontfamily(), *families])])
        rest = missing - covered(families)
        if rest:
            lost[text.get_text()] = "".join(sorted(rest))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .*missing from font")
        yield
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        characters = "".join(dict.fromkeys("".join(lost.values())))[:12]
        names = ", ".join(map(repr, list(lost)[:3])) + more
        warnings.warn(NOTE.format(characters=characters, names=names), stacklevel=3)


def lacking(text: str, path: str) -> frozenset[str]:
    """The characters of a text that the font file has no glyph for."""
    if text.isascii():
        return frozenset()
    return frozenset(c for c in text if not c.isspace() and c.isprintable() and c not in _characters(path))


@cache
def second_fonts(missing: frozenset[str]) -> tuple[str, ...]:
    """Families, as few as a greedy choice gives, that between them have what of `missing` any installed font has."""
    families: list[str] = []
    for entry in _in_order():
        if not missing:
            break
        if missing & _characters(entry.fname):
            families.append(entry.name)
            missing -= _characters(entry.fname)
    return tuple(families)


def covered(families: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*(_characters(entry.fname) for entry in _in_order() if entry.name in families))


def _in_order() -> list[FontEntry]:
    """Installed fonts, one a family; not the font of last resort, whose every glyph is a box."""

    def rank(entry: FontEntry) -> tuple[bool, bool, bool, str]:
        preferred = entry.name.startswith(PREFERRED)
        return not preferred, entry.style != "normal", str(entry.weight) not in ("400", "normal", "regular"), entry.name

    entries = sorted((e for e in fontManager.ttflist if "last" not in e.name.lower().split()[0]), key=rank)
    return list({entry.name: entry for entry in reversed(entries)}.values())[::-1]


@cache
def _characters(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, get_font(path).get_charmap()))
    except (OSError, RuntimeError):  # a font file that cannot be read has nothing
        return frozenset()
