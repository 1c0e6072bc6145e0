"""Whether the papers' orderings hold: each judged by the paired difference of its two rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations

import pandas as pd

from tinylib.evaluation import pairing
from tinylib.evaluation.intervals import spelled
from tinylib.results.paper_files import JOIN, published
from tinylib.results.rows import Row
from tinylib.results.tables import banner

ANSWERS = ("yes", "open", "no")
COLUMNS = ["input", "metric", "claim", "paper gap", "our gap", "low", "high", "held", "judged", "p", "mAP"]
COLUMNS += ["data", "profile"]
BESIDE = 300  # resamples of mAP, which stands beside and takes longest
NEEDED = 2  # seeds: one alone does not tell how much seeds differ


def orderings(
    paper: str, ref: str, rows: Iterable[Row], *, pairs: Iterable[tuple[str, str]] | None = None
) -> pd.DataFrame:
    """Which of the paper's orderings hold with ours: input, metric, claim, the gaps, held, judged, p, ...

    Every pair of rows of one input, metric, dataset and profile that both sides have; or only the given `pairs`.
    our gap: the difference, in the paper's unit, with its 95% interval over source videos and seeds. held: 'yes' or
    'no' where that leaves zero out, else 'open'; 'open' too where a row has one seed. judged: 'paired'; 'unpaired',
    where a row's clips were not kept or differ: then by whether the rows' own intervals meet; or 'one seed'. mAP: the
    same claim by mean average precision, where the paper's metric is another rate and the clips are there.
    """
    mine = [row for row in rows if (row.paper, row.ref) == (paper, ref)]
    printed = published(paper, ref)
    theirs = {
        key: (value, unit)
        for *key_, value, unit in printed[[*JOIN, "value", "unit"]].itertuples(index=False, name=None)
        if isinstance(value, int | float) and not math.isnan(value) and (key := tuple(key_))
    }
    wanted = None if pairs is None else {frozenset(pair) for pair in pairs}
    place = {key: number for number, key in enumerate(theirs)}
    ours = [row for row in mine if (row.row, row.input, row.metric) in theirs]
    ours.sort(key=lambda row: place[row.row, row.input, row.metric])
    lines = []
    for one, other in combinations(ours, 2):
        if _setting(one) != _setting(other) or (wanted is not None and frozenset((one.row, other.row)) not in wanted):
            continue
        (first, unit), (second, _) = (theirs[row.row, row.input, row.metric] for row in (one, other))
        if first != second:
            small, large = (one, other) if first <= second else (other, one)
            lines.append(_line(small, large, abs(second - first), 100.0 if unit == "%" else 1.0))
    groups = list(dict.fromkeys(_setting(row) for row in ours))
    lines.sort(key=lambda line: groups.index(tuple(line[name] for name in ("input", "metric", "data", "profile"))))
    result = pd.DataFrame(lines, columns=COLUMNS)
    result.attrs["banner"] = banner(mine)
    return result


def _setting(row: Row) -> tuple[str | float, ...]:
    return row.input, row.metric, row.data, row.profile


def _line(small: Row, large: Row, paper_gap: float, scale: float) -> dict[str, str | float]:
    """One ordering: `large` is above `small` in the paper."""
    gap, low, high, p = large.value - small.value, math.nan, math.nan, math.nan
    paired = _paired(small, large)
    if paired is not None:
        gap, low, high, p = paired.value, paired.low, paired.high, paired.p
        decided = low > 0 or high < 0
    else:
        known = all(row.low is not None and row.high is not None for row in (small, large))
        decided = known and (large.low > small.high or small.low > large.high)  # type: ignore[operator]
    judged = "paired" if paired is not None else "unpaired"
    if any(0 < row.seeds < NEEDED for row in (small, large)):
        decided, judged = False, "one seed" if paired is not None else "one seed, unpaired"
    held = ("yes" if gap > 0 else "no") if decided and gap else "open"
    return {
        "input": large.input,
        "metric": large.metric,
        "claim": f"{large.row} > {small.row}",
        "paper gap": paper_gap,
        "our gap": scale * gap,
        "low": scale * low,
        "high": scale * high,
        "held": held,
        "judged": judged,
        "p": p,
        "mAP": _by_map(small, large, scale) if "F1" in large.metric else "",
        "data": large.data,
        "profile": large.profile,
    }


def _paired(small: Row, large: Row, metric: str = "", n: int = 1000) -> pairing.Difference | None:
    """Of the two rows' clips; None where either's are not there or they are of other clips."""
    if not (small.clips and large.clips) or small.folder is None or small.folder != large.folder:
        return None
    return pairing.recorded(small.folder, large.clips, small.clips, metric or large.metric, n)


def _by_map(small: Row, large: Row, scale: float) -> str:
    paired = _paired(small, large, "mAP", BESIDE)
    if paired is None:
        return ""
    return spelled(scale * paired.value, scale * paired.low, scale * paired.high, digits=1 if scale > 1 else 3)


def tally(claims: pd.DataFrame) -> pd.Series:
    """Of orderings: measured, yes, open, no, paired, by luck (expected if nothing differed), and held by Holm.

    'by luck' is 5% of those that could be decided; 'yes, all sure' and 'no, all sure' are those that stand when all
    orderings together may be wrong in 5% of repetitions at most (Holm 1979), which paired ones alone can.
    """
    flags = pairing.holm(list(claims["p"]))
    sure = [held for flag, held in zip(flags, claims["held"], strict=True) if flag]
    counts = {answer: int((claims["held"] == answer).sum()) for answer in ANSWERS}
    several = ~claims["judged"].astype(str).str.startswith("one seed")
    return pd.Series(
        {"measured": len(claims)}
        | counts
        | {"paired": int((claims["judged"] == "paired").sum()), "by luck": round(0.05 * int(several.sum()), 1)}
        | {f"{answer}, all sure": sure.count(answer) for answer in ("yes", "no")},
        dtype=object,
    )


def decided(large: Row, small: Row) -> bool:
    """Whether `large` is above `small` by more than luck: of one run, by the paired difference where clips are kept."""
    return bool(_line(small, large, 0.0, 1.0)["held"] == "yes")
