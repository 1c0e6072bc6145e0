"""From an equation to its line in one hop: the README's table, the marks in the code, and sections that exist."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRINTED = {"TinyVIRAT": 4, "winner": 1, "STAT": 4}  # how many equations each paper numbers; TinyAction none
SECTIONS = {  # the headings of the papers
    paper: headings.split()
    for paper, headings in {
        "TinyVIRAT": "I II III IV IV-A IV-A1 IV-A2 IV-A3 IV-A4 IV-B V V-A V-B V-C V-D V-D1 V-D2 V-D3 VI",
        "TinyAction": "1 2 2.1 2.2 3 3.1 3.2 3.3 4",
        "winner": "1 2 3 4 5 6 7",
        "STAT": "1 2 3 3.1 3.1.1 3.1.2 3.1.3 3.2 3.2.1 3.2.2 3.3 3.3.1 3.3.2 4 4.1 4.2 4.3 4.4 4.5 4.6 4.7 5",
    }.items()
}
MARK = re.compile(r"Eq\. (\d) \((\w+)\)")


def table():
    """(equation, paper, file, function) for each link of the README's table."""
    part = (ROOT / "README.md").read_text(encoding="utf-8").split("## The equations")[1].split("\n## ")[0]
    rows = re.findall(r"^\| Eq\. (\d) \| (\w+) \| [^|]+ \| (.+) \|$", part, re.MULTILINE)
    return [
        (int(number), paper, file, function)
        for number, paper, links in rows
        for function, file in re.findall(r"\[[\w/.]+#([\w.]+)\]\(([\w/.]+)\)", links)
    ]


def marks(source):
    """(line, equation, paper) of the comments that stand behind code."""
    code, comments = set(), []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments.append(token)
        elif token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.STRING):
            code.add(token.start[0])
    return [
        (comment.start[0], int(number), paper)
        for comment in comments
        if comment.start[0] in code
        for number, paper in MARK.findall(comment.string)
    ]


def functions(tree, before=""):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            name = f"{before}{node.name}"
            yield name, node
            yield from functions(node, f"{name}.")


@pytest.mark.parametrize(("number", "paper", "file", "function"), table())
def test_an_entry_leads_to_a_function_with_the_marked_line(number, paper, file, function):
    source = (ROOT / file).read_text(encoding="utf-8")
    node = dict(functions(ast.parse(source)))[function]
    assert isinstance(node, ast.FunctionDef)
    lines = range(node.body[0].lineno, node.end_lineno + 1)
    assert [line for line, *equation in marks(source) if line in lines and equation == [number, paper]]


def test_every_printed_equation_is_in_the_table_and_every_mark_as_well():
    entries = table()
    assert {(paper, number) for number, paper, *_ in entries} == {
        (paper, number) for paper, count in PRINTED.items() for number in range(1, count + 1)
    }
    listed = {(number, paper, file) for number, paper, file, _ in entries}
    for path in (ROOT / "tinylib").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        marked = {(number, paper, path.relative_to(ROOT).as_posix()) for _, number, paper in marks(source)}
        assert marked <= listed, path


def cited(text):
    """(paper, section) of every place that names both."""
    pattern = (
        r"\b(TinyVIRAT|TinyAction|winner|STAT)(?:'s)?,? sections? ([IVX\d][\w.-]*)(?: (?:and|to) ([IVX\d][\w.-]*))?"
    )
    for paper, *sections in re.findall(pattern, text):
        yield from ((paper, section.rstrip(".")) for section in sections if section)


def test_a_section_that_is_cited_exists():
    places = [*(ROOT / "tinylib").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb"), *ROOT.glob("*.md")]
    cites = [(*cite, path.name) for path in places for cite in cited(path.read_text(encoding="utf-8"))]
    assert len(cites) > 15
    assert [cite for cite in cites if cite[1] not in SECTIONS[cite[0]]] == []


def test_the_headings_are_those_of_the_papers(parity):
    texts = {"winner": "dual_resolution_distillation", "STAT": "stat", "TinyAction": "tinyaction_challenge"}
    for paper, name in texts.items():
        text = (parity.parent / "papers" / f"{name}.txt").read_text(encoding="utf-8")
        headings = re.findall(r"^(\d(?:\.\d)*)\.? [A-Z][a-z]", text, re.MULTILINE)
        assert set(SECTIONS[paper]) <= set(headings), paper
