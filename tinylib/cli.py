"""The `tinylib` command. Exit codes: 0 done, 1 the data is bad (listed), 2 the call is wrong."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tinylib import __version__
from tinylib.errors import TinylibError, UsageError
from tinylib.files import Json

Command = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """One line for a wrong call, not the whole usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def synth(args: argparse.Namespace) -> int:
    from tinylib.synth.write import generate

    generate(args.out, args.profile, args.seed, clips=args.clips, workers=args.workers, scheduler=args.scheduler)
    return 0


def build(args: argparse.Namespace) -> int:
    if args.videos is None and not args.dry_run:
        raise UsageError("build: --videos DIR is needed, unless --dry-run")
    from tinylib.building.builder import parts_of, union

    report = union(
        parts_of(args.rule, args.annotations, args.videos),
        args.out,
        version=1 if args.rule == "virat" else 2,
        dry_run=args.dry_run,
        workers=args.workers,
        scheduler=args.scheduler,
        replace=args.replace,
    )
    for file, reason in report.quarantined:
        print(f"{file}: {reason}", file=sys.stderr)
    print(report)
    return 1 if report.quarantined else 0


def check(args: argparse.Namespace) -> int:
    from tinylib.datasets.integrity import check as check_dataset

    report = check_dataset(args.root)
    print(report)
    return 0 if report.ok else 1


def fetch(args: argparse.Namespace) -> int:
    from tinylib.datasets.fetching import SOURCES
    from tinylib.datasets.fetching import fetch as download

    for file in download(args.name, args.out, agree=args.agree):
        print(f"{file}: whole")
    if then := SOURCES[args.name].then:
        print(f"then: {then}")
    return 0


def convert(args: argparse.Namespace) -> int:
    from tinylib.models.official import convert as convert_checkpoint

    rows = args.class_rows
    if rows not in (None, "as filed"):
        rows = [int(row) for row in rows.split(",")]
    convert_checkpoint(args.name, args.official, args.out, class_rows=rows)
    print(f"{args.out}: {args.name} written")
    return 0


def predict(args: argparse.Namespace) -> int:
    from tinylib.evaluation.model_card import calibrated, open_model
    from tinylib.models.pretrained import OWN_VIDEO
    from tinylib.recognise.pipeline import CutConfig, recognise
    from tinylib.recognise.proposals import ProposalConfig

    proposals = ProposalConfig(method=args.method, width=args.width, threshold=args.motion, travel=args.travel)
    model = args.model or OWN_VIDEO
    trained = open_model(model) if args.calibrate is None else calibrated(model, args.calibrate)
    timeline = recognise(
        args.video,
        trained,
        args.out,
        boxes=args.boxes,
        proposals=proposals,
        cut=CutConfig(min_frames=args.min_frames),
        threshold=args.threshold,
        layer=args.layer,
        maps=not args.no_maps,
        annotated=not args.no_video,
        overwrite=args.overwrite,
    )
    print(timeline.summary())
    print(f"{args.out}: timeline.csv, timeline.json, clips/{', maps/' * (not args.no_maps)}", end="")
    print(", annotated.mp4" * (not args.no_video))
    return 0


def submit(args: argparse.Namespace) -> int:
    from tinylib.evaluation.ensemble import submit as write_answer
    from tinylib.evaluation.scores import Scores

    members = [Scores.load(path) for path in args.scores]
    validation = [Scores.load(path) for path in args.validation]
    decisions = write_answer(members, args.out, validation=validation, groups=args.groups)
    print(f"{args.out}: {len(decisions)} clips, {decisions.sum()} labels, of {len(members)} members; the file is valid")
    return 0


def pool(args: argparse.Namespace) -> int:
    from tinylib.evaluation.folds import pooled, spelled
    from tinylib.files import atomic_path

    table = pooled(args.runs, over=args.over)
    text = spelled(table, args.metric or ())
    if args.out is not None:
        with atomic_path(args.out) as temporary:
            table.to_csv(temporary, index=False)
    print(f"{len(args.runs)} folds, {table['n'].max()} clips, {table['seeds'].max()} seed(s); per cent, 95% intervals")
    print(text)
    return 0


def table(args: argparse.Namespace) -> int:
    from tinylib.files import write_text
    from tinylib.results import typeset

    text = typeset(args.paper, args.ref, args.runs, args.format)
    if args.out is None:
        print(text, end="")
    else:
        write_text(args.out, text)
    return 0


def cite(args: argparse.Namespace) -> int:
    from tinylib.results import citations

    print(citations(), end="")
    return 0


def train(args: argparse.Namespace) -> int:
    from tinylib.settings import TrainingRun

    settings = TrainingRun.read(args.config, _pairs(args.parameter, "train"))
    print(settings.run().to_string(index=False))
    print(f"{settings.run_dir}: seed-{settings.seed}/, {settings.model}-0 in scores/, results.jsonl")
    return 0


def export(args: argparse.Namespace) -> int:
    from tinylib.evaluation import export as write

    files = [file for file in (args.onnx, args.torch_export) if file is not None]
    if not files:
        raise UsageError("export: --onnx OUT.onnx or --torch-export OUT.pt2, or both")
    for file in files:
        done = write(args.run, file, "onnx" if file is args.onnx else "torch")
        print(f"{done.file}: its logits agree with the network's to {done.difference:.1g} of the largest")
    return 0


def _pairs(given: Sequence[Sequence[str]], command: str) -> dict[str, str]:
    """`-p NAME VALUE` as typed; no name twice."""
    texts = {pair[0]: pair[1] for pair in given}
    if len(texts) < len(given):
        names = [name for name, _ in given]
        raise UsageError(f"{command}: -p {next(n for n in names if names.count(n) > 1)} is given twice")
    return texts


def reports(args: argparse.Namespace) -> int:
    from tinylib.reports.runner import run

    texts = _pairs(args.parameter, "reports")
    only = [part.strip() for part in args.only.split(",") if part.strip()]
    options: Json = {"force": args.force, "keep_checkpoints": args.keep_checkpoints}
    statuses = run(args.notebooks, args.profile, only, args.out, args.scheduler, texts=texts, **options)
    out = args.out or Path("reports", args.profile)
    print(f"{out}/index.html: {sum(s.state == 'done' for s in statuses)} of {len(statuses)} notebooks done")
    return 0 if all(status.state == "done" for status in statuses) else 1


def pretrain(args: argparse.Namespace) -> int:
    from tinylib.methods.pretraining import pretrain

    pretrain(args.names, args.out, root=args.data)
    return 0


def parser() -> argparse.ArgumentParser:
    top = Parser(prog="tinylib", description="Recognising actions in very low-resolution video.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"tinylib {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name: str, function: Command, what: str) -> argparse.ArgumentParser:
        subparser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what, allow_abbrev=False)
        subparser.set_defaults(function=function)
        subparser.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return subparser

    profile: Json = {"choices": ("smoke", "demo", "full"), "default": "demo"}

    make = command("synth", synth, "make SynthVIRAT")
    make.add_argument("--out", type=Path, required=True, metavar="DIR")
    make.add_argument("--clips", type=_positive, metavar="N", help="about how many clips (default: the profile's)")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--profile", **profile)
    _scaling(make)

    cut = command("build", build, "cut tiny clips from raw video")
    cut.add_argument(
        "rule",
        choices=("virat", "meva", "v2"),
        help="TinyVIRAT's rule, its v2's for MEVA, or both: v2 wants folders virat/ and meva/ in each DIR",
    )
    cut.add_argument("--annotations", type=_folder, required=True, metavar="DIR")
    cut.add_argument("--videos", type=_folder, metavar="DIR")
    cut.add_argument("--out", type=Path, required=True, metavar="DIR")
    cut.add_argument("--dry-run", action="store_true", help="write the index alone; needs no video")
    cut.add_argument("--replace", action="store_true", help="set aside what lies in DIR and is not of this build")
    _scaling(cut)

    verify = command("check", check, "verify a dataset; exit 1 and a list if anything is wrong")
    verify.add_argument("root", type=_folder, metavar="DIR")

    get = command("fetch", fetch, "a dataset from its owners' own address, once you agree to their terms")
    get.add_argument("name", metavar="NAME", help="ucf101, hmdb51, ...")
    get.add_argument("--out", type=Path, required=True, metavar="DIR")
    get.add_argument("--agree", action="store_true", help="I agree to the owners' terms")

    port = command("convert", convert, "import an official checkpoint")
    port.add_argument("name", metavar="NAME", help="a classifier's or super-resolver's name")
    port.add_argument("official", type=_file, metavar="OFFICIAL.pth")
    port.add_argument("out", type=Path, metavar="OUT.safetensors")
    port.add_argument(
        "--class-rows", type=_rows, metavar="ROWS", help="the file's row of each class: 3,0,1 or 'as filed'"
    )

    find = command("predict", predict, "recognise actions in a video")
    find.add_argument("video", type=_file, metavar="VIDEO")
    find.add_argument(
        "--model",
        type=_exists,
        metavar="RUN_DIR",
        help="a run folder, or its checkpoint (default: the network that ships)",
    )
    find.add_argument("--out", type=Path, required=True, metavar="DIR")
    find.add_argument(
        "--boxes",
        type=_file,
        metavar="FILE",
        help="tracks: CSV (frame,id,x0,y0,x1,y1), MOT, KPF geometry or VIRAT objects (default: what moves)",
    )
    find.add_argument("--threshold", type=_share, default=0.5, metavar="P", help="scores say a class from it on (0.5)")
    find.add_argument("--calibrate", type=_file, metavar="SCORES.npz", help="fit the run's calibration on these first")
    find.add_argument("--min-frames", type=_positive, default=40, metavar="N", help="of a clip (40)")
    find.add_argument("--method", choices=("mog2", "knn"), default="mog2", help="background subtraction")
    find.add_argument("--width", type=_positive, default=960, metavar="PX", help="wider frames shrink to it (960)")
    find.add_argument("--motion", type=_number, default=40.0, metavar="X", help="higher finds less that moves (40)")
    find.add_argument("--travel", type=_number, default=1.0, metavar="X", help="tracks get so many sides far (1)")
    find.add_argument("--layer", metavar="NAME", help="of the attention maps (default: the deepest with 6 px or more)")
    find.add_argument("--no-maps", action="store_true", help="leave the attention maps out")
    find.add_argument("--no-video", action="store_true", help="leave the annotated video out")
    find.add_argument("--overwrite", action="store_true", help="an earlier result in DIR goes (else it is set aside)")

    answer = command("submit", submit, "challenge submission from scores, validated")
    answer.add_argument("scores", type=_file, nargs="+", metavar="SCORES.npz", help="several are averaged")
    answer.add_argument("--out", type=Path, required=True, metavar="answer.txt")
    answer.add_argument(
        "--validation",
        type=_file,
        nargs="+",
        default=[],
        metavar="SCORES.npz",
        help="the same members on the validation split: thresholds are fitted on them (default: 0.5)",
    )
    answer.add_argument(
        "--groups", action="store_true", help="of exclusive classes keep the one with the highest score"
    )

    folds = command("pool", pool, "runs on several folds as one experiment, with intervals over all their test videos")
    folds.add_argument("runs", type=_folder, nargs="+", metavar="RUN_DIR", help="a notebook's run on one fold each")
    folds.add_argument("--over", metavar="NAME", help="an experiment that the others are held against, clip by clip")
    folds.add_argument("--metric", nargs="+", metavar="NAME", help="what is printed (default: top-1 or F1)")
    folds.add_argument("--out", type=Path, metavar="FILE.csv", help="every metric")

    first = command("pretrain", pretrain, "teach starting weights on SynthVIRAT; killed and called again, it goes on")
    first.add_argument("names", nargs="*", metavar="NAME", help="networks (default: all that the package ships)")
    first.add_argument("--out", type=Path, required=True, metavar="DIR", help="weights, cards, logs and run folders")
    first.add_argument("--data", type=Path, metavar="DIR", help="the study and its stores (default: DIR/data)")

    sheet = command("table", table, "a paper's table with ours beside it, for a paper, a page or a spreadsheet")
    sheet.add_argument("paper", metavar="PAPER")
    sheet.add_argument("ref", metavar="REF", help="such as 'Table 2'")
    sheet.add_argument("--runs", type=_folder, nargs="+", default=[], metavar="DIR", help="where results of ours are")
    sheet.add_argument("--format", choices=("latex", "csv", "md", "html"), default="md")
    sheet.add_argument("--out", type=Path, metavar="FILE", help="default: the screen")

    command("cite", cite, "BibTeX of tinylib and of the papers")

    lesson = command("train", train, "train a classifier by a YAML file")
    lesson.add_argument("config", type=_file, metavar="CONFIG.yaml")
    lesson.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))

    way = command("export", export, "a run's network as one file, held against it")
    way.add_argument("run", type=_exists, metavar="RUN_DIR", help="a run folder, or its checkpoint")
    way.add_argument("--onnx", type=Path, metavar="OUT.onnx")
    way.add_argument("--torch-export", type=Path, metavar="OUT.pt2", help="torch.export's program")

    graph = command("reports", reports, "run the notebook graph, render, index")
    graph.add_argument("--profile", **profile)
    graph.add_argument("--only", default="", metavar="04,05", help="numbers or names of notebooks")
    graph.add_argument("--out", type=Path, metavar="DIR", help="default: reports/PROFILE")
    graph.add_argument("--scheduler", metavar="ADDRESS", help="a dask scheduler; default: this machine")
    graph.add_argument("--notebooks", type=_folder, metavar="DIR", help="default: the project's notebooks/")
    graph.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    graph.add_argument("--force", action="store_true", help="run what is already done, too")
    graph.add_argument("--keep-checkpoints", action="store_true", help="all of them; default: a training's newest")
    return top


def _scaling(of: argparse.ArgumentParser) -> None:
    of.add_argument("--workers", type=_positive, metavar="N", help="processes (default: one a core)")
    of.add_argument("--scheduler", metavar="ADDRESS", help="a dask scheduler; default: this machine")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, got {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return value


def _share(text: str) -> float:
    value = 0.0 if text in ("0", "0.0") else _number(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, got {text!r}")
    return value


def _rows(text: str) -> str:
    if text != "as filed" and not all(part.isdigit() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between, or 'as filed', got {text!r}")
    return text


def _there(kind: Callable[[Path], bool], what: str) -> Callable[[str], Path]:
    def path(text: str) -> Path:
        if not kind(Path(text)):
            raise argparse.ArgumentTypeError(f"{text}: no such {what}")
        return Path(text)

    return path


_folder, _file = _there(Path.is_dir, "folder"), _there(Path.is_file, "file")
_exists = _there(Path.exists, "folder or file")


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        args = parser().parse_args([a for a in given if a != "--debug"])
        return int(args.function(args))
    except KeyboardInterrupt:
        print("tinylib: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if "--debug" in given:
            raise
        ours = isinstance(error, TinylibError | OSError)
        text = str(error) if ours else f"{type(error).__name__}: {error} (unforeseen; --debug shows where)"
        print(f"tinylib: {' '.join(text.split())}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


if __name__ == "__main__":
    sys.exit(main())
