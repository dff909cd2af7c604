"""``tally count``: the whole pipeline in this process, no server, no database."""

from __future__ import annotations

import csv
import glob
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from app.commands.exemplars import ShownType, in_files
from app.commands.rules import RulesType
from pipeline.contract import (
    ENGINES,
    MODES,
    PAGES,
    SAM_MODELS,
    CountRequest,
    CountSettings,
    Exemplar,
    PipelineError,
    SettingsError,
)
from pipeline.formats import FORMATS, HEIC_HELP, Format, taken_formats, wanted
from pipeline.ops.interval import total_interval
from pipeline.settings import unused_model
from pipeline.weights import file_sha256

if TYPE_CHECKING:
    from pipeline.run import ImageOutcome
    from pipeline.types import Candidates

OTHER_PICTURES = {".avif", ".gif", ".bmp", ".jp2", ".jxl", ".dng", ".cr2", ".nef", ".arw"}
"""Beside the formats that could be taken: what somebody may think was counted with the rest of a folder."""

MAX_NAMED = 5

CHUNK = 8
COLUMNS = (
    "file",
    "count",
    "count_interval",
    "density_estimate",
    "by_type",
    "groups",
    "needs_review",
    "engine",
    "seconds",
    "error",
    "review_reason",
    "rejected",
    "faint",
    "engine_details",
    "settings",
    "patch_models",
    "prompt_models",
    "labelled_by",
    "timings_s",
    "model",
    "weights_sha256",
    "dtype",
    "device",
)
NESTED = (
    "density_estimate", "by_type", "groups", "rejected", "engine_details", "settings", "patch_models",
    "prompt_models", "timings_s",
)  # fmt: skip
"""JSON text in a CSV."""

MADE_BY = (
    "engine", "settings", "patch_models", "prompt_models", "model", "weights_sha256", "dtype", "device",
)  # fmt: skip
"""Columns that are fields of the result's provenance."""

EXIT_SOME_FAILED = 1


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--type", "type_", default="object", show_default=True, help="What to count.")
@click.option(
    "--engine", type=click.Choice(ENGINES), default="auto", show_default=True, help="Where masks come from."
)
@click.option("--model", type=click.Choice(SAM_MODELS), help="Variant of the engine sam.")
@click.option(
    "--mode", type=click.Choice(MODES), default="fast", show_default=True, help="Of the engine sam."
)
@click.option(
    "--pages", type=click.Choice(PAGES), default="first", show_default=True, help="Of a TIFF with several."
)
@click.option(
    "--exemplar",
    "exemplars",
    type=ShownType(positive=True),
    multiple=True,
    help="A box around one object, or a point on it, in the first image or the one named; things like it are "
    "counted in all images. Repeatable.",
)
@click.option(
    "--not-exemplar",
    "not_exemplars",
    type=ShownType(positive=False),
    multiple=True,
    help="The same for what is not meant. Repeatable.",
)
@click.option(
    "--rules", type=RulesType(), help="Reason about what was found: a bundled set, or a file (docs/rules.md)."
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write overlays into this folder."
)
@click.option(
    "--format", "format_", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)
@click.option(
    "--rejected", "with_rejected", is_flag=True, help="With json: also each thing that is not counted."
)
def count(
    paths: tuple[str, ...],
    type_: str,
    engine: str,
    model: str | None,
    mode: Literal["fast", "exact"],
    pages: Literal["first", "all"],
    exemplars: tuple[Exemplar, ...],
    not_exemplars: tuple[Exemplar, ...],
    rules: str | None,
    out: Path | None,
    format_: str,
    with_rejected: bool,
) -> None:
    """Count the objects in images: files, folders (with their subfolders) and globs.

    Results go to standard output, everything else to standard error.

    \b
    Exit codes: 0  every image was counted
                1  some images failed (their rows say why)
                2  the command itself was wrong, or no image was found
    """  # noqa: D301 - click reads the backspace as "keep these lines"
    if with_rejected and format_ != "json":
        raise click.UsageError(f"want --format json with --rejected, got {format_}")
    if not type_.strip():
        raise click.UsageError("--type: want what to count, got no word")
    if unused := unused_model(engine, model):
        raise click.UsageError(f"--model: {unused}")
    files = _expand(paths)
    settings = CountSettings(
        engine=engine,
        model=model,
        mode=mode,
        pages=pages,
        exemplars=in_files((*exemplars, *not_exemplars), files),
        count_what="exemplars" if exemplars else "type",
        rules=rules,
        visualize=out is not None,
    )
    rows: list[dict[str, Any]] = []
    known: dict[str, str] = {}
    for outcome in _count_all([CountRequest(file, file, type_, settings) for file in files]):
        faint = _faint_things(outcome)
        rows.append(_row(outcome, known, settings.exemplars, len(faint)))
        if with_rejected:
            rows[-1] |= {"rejected_candidates": _rejected_candidates(outcome), "faint_things": faint}
        if out is not None:
            _write_pictures(out, len(rows), outcome)
    click.echo({"json": _as_json, "csv": _as_csv, "table": _as_table}[format_](rows), nl=False)
    if any(row["error"] for row in rows):
        sys.exit(EXIT_SOME_FAILED)


def _expand(paths: Sequence[str]) -> list[str]:
    """Return the files meant, in the order given; those of a folder or glob sorted; each one once.

    Raises:
        click.UsageError: a path that leads to no image, also where others do: it would be missed in silence.
    """
    found = {path: _files_at(path) for path in paths}
    if missing := [path for path, files in found.items() if not files]:
        raise click.UsageError(f"want images, found none at {', '.join(missing)}")
    return list(dict.fromkeys(file for files in found.values() for file in files))


def _files_at(path: str) -> list[str]:
    """Return the files of a folder, with its subfolders, or of a glob; a file's name as it is."""
    if Path(path).is_dir():
        inside = sorted(p for p in Path(path).rglob("*") if p.is_file())
        taken = _suffixes(taken_formats())
        pictures = _suffixes(FORMATS) | OTHER_PICTURES
        _tell_left_out(path, [p for p in inside if p.suffix.lower() in pictures - taken])
        return [str(p) for p in inside if p.suffix.lower() in taken]
    if glob.has_magic(path) and not Path(path).exists():
        return [p for p in sorted(glob.glob(path, recursive=True)) if Path(p).is_file()]
    return [path]


def _suffixes(formats: Iterable[Format]) -> set[str]:
    """Return what is taken from a folder. A file that is named is tried whatever its name."""
    return {suffix for one in formats for suffix in FORMATS[one].suffixes}


def _tell_left_out(folder: str, pictures: Sequence[Path]) -> None:
    """Name pictures that are not read on standard error, and what to do about HEIC."""
    if not pictures:
        return
    names = ", ".join(p.name for p in pictures[:MAX_NAMED]) + ", …" * (len(pictures) > MAX_NAMED)
    click.echo(f"{folder}: {len(pictures)} not counted, want {wanted()}: {names}", err=True)
    if any(p.suffix.lower() in FORMATS["heic"].suffixes for p in pictures):
        click.echo(f"HEIC: {HEIC_HELP}", err=True)


def _count_all(requests: Sequence[CountRequest]) -> Iterator[ImageOutcome]:
    """Count chunk by chunk, so that pictures of a thousand images are never in memory together.

    Images that exemplars lie in are counted before all others, and told in their places.
    """
    from tqdm import tqdm

    from pipeline.object_types import default_object_types
    from pipeline.run import count_batch  # cv2 and the engines: only when something is counted

    types, showing = default_object_types(), {e.file_id for e in requests[0].settings.exemplars}
    known: dict[str, Candidates] = {}
    done: dict[str, ImageOutcome] = {}
    with tqdm(total=len(requests), unit="image", file=sys.stderr, disable=None) as bar:

        def count_now(some: Sequence[CountRequest]) -> None:
            for outcome in count_batch(some, object_types=types, known=known):
                done[outcome.image_id] = outcome
                bar.update()

        count_now([request for request in requests if request.image_id in showing])
        known |= {name: outcome.candidates for name, outcome in done.items() if outcome.candidates}
        for start in range(0, len(requests), CHUNK):
            chunk = requests[start : start + CHUNK]
            count_now([request for request in chunk if request.image_id not in done])
            for request in chunk:
                yield done.pop(request.image_id)


def _row(
    outcome: ImageOutcome, known: dict[str, str], exemplars: Sequence[Exemplar], n_faint: int
) -> dict[str, Any]:
    """Return the row of an image; ``known`` are the files counted so far, by their hash."""
    result = outcome.result
    if result is None:
        message = _why_not_counted(outcome.error, exemplars)
        return dict.fromkeys(COLUMNS) | {"file": outcome.image_id, "error": message}
    first = known.setdefault(file_sha256(Path(outcome.image_id)), outcome.image_id)
    result = result.counted_twice(None if first == outcome.image_id else first)
    values = {
        "file": outcome.image_id,
        "count": result.count,
        "count_interval": list(result.count_interval),
        "density_estimate": result.to_json()["density_estimate"],
        "by_type": result.by_type,
        "groups": [{"id": g.id, "name": g.name, "count": g.count} for g in result.groups],
        "needs_review": result.needs_review,
        "seconds": round(sum(result.timings_s.values()), 3),
        "error": None,
        "review_reason": result.review_reason,
        "rejected": _rejected(outcome),
        "faint": n_faint,
        "engine_details": result.engine_details,
        "labelled_by": result.labelled_by,
        "timings_s": result.timings_s,
    } | {name: getattr(result.provenance, name) for name in MADE_BY}
    return {name: values[name] for name in COLUMNS}


def _why_not_counted(error: PipelineError | None, exemplars: Sequence[Exemplar]) -> str:
    if error is None:
        return "not counted"
    field = error.details[0]["field"] if isinstance(error, SettingsError) else ""
    if about := re.match(r"config\.exemplars\[(\d+)\]", field):
        file = exemplars[int(about[1])].file_id
        return f"{error.code}: the examples lie in {file}, which was not counted"
    return f"{error.code}: {error}"


def _rejected(outcome: ImageOutcome) -> dict[str, int]:
    """Return how many candidates were not counted, by the kind of reason, the commonest first."""
    reasons = outcome.instances.rejections if outcome.instances else ()
    return dict(Counter(why.partition(":")[0] for why in reasons if why).most_common())


def _rejected_candidates(outcome: ImageOutcome) -> list[dict[str, Any]]:
    """Return the candidates that are not counted, named as in the API's results with ``rejected=true``."""
    from pipeline.count import SCORE_DIGITS, object_id  # as ``_count_all``

    if outcome.candidates is None or outcome.instances is None:
        return []
    boxes, scores = outcome.candidates.batch.bbox_xyxy.tolist(), outcome.instances.scores.tolist()
    return [
        {
            "object_id": object_id(i),
            "reason": why,
            "confidence": round(scores[i], SCORE_DIGITS),
            "bbox": {"format": "xyxy"} | dict(zip(("x1", "y1", "x2", "y2"), boxes[i], strict=True)),
        }
        for i, why in enumerate(outcome.instances.rejections)
        if why
    ]


def _faint_things(outcome: ImageOutcome) -> list[dict[str, float]]:
    """Return what was seen too faintly to be a candidate, as in the API's results with ``rejected=true``."""
    from pipeline.faint import faint_things

    if outcome.candidates is None or outcome.instances is None:
        return []
    batch = outcome.candidates.batch
    outlines = (batch.polygon(i) for i in outcome.instances.counted.tolist())
    return [asdict(thing) for thing in faint_things(batch, outlines, regions=())]


def _write_pictures(folder: Path, number: int, outcome: ImageOutcome) -> None:
    """Write ``001_name_annotated.jpg`` and so on: two images of one name do not collide."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in outcome.pictures.items():
        (folder / f"{number:03}_{Path(outcome.image_id).stem}_{name}.jpg").write_bytes(data)


def _as_json(rows: Sequence[dict[str, Any]]) -> str:
    return json.dumps(list(rows), indent=1) + "\n"


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return one line an image; after ``COLUMNS`` one for each kind, named as in the page's CSV."""
    kinds = sorted({kind for row in rows for kind in row["by_type"] or ()})
    text = io.StringIO()
    writer = csv.DictWriter(text, (*COLUMNS, *map(_kind_column, kinds)), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        by_type = row["by_type"]
        of_kinds = {_kind_column(kind): None if by_type is None else by_type.get(kind, 0) for kind in kinds}
        nested = {key: json.dumps(row[key]) for key in NESTED if row[key] is not None}
        interval = row["count_interval"]
        writer.writerow(
            row | nested | of_kinds | {"count_interval": f"{interval[0]}-{interval[1]}" if interval else None}
        )
    return text.getvalue()


def _kind_column(kind: str) -> str:
    return f"count:{kind}"


def _as_table(rows: Sequence[dict[str, Any]]) -> str:
    head = ("file", "count", "90 % interval", "review", "engine", "scale", "seconds", "not counted")
    lines: list[tuple[str, ...]] = [head]
    for row in rows:
        if row["error"]:
            lines.append((row["file"], "-", row["error"], "", "", "", "", ""))
            continue
        low, high = row["count_interval"]
        review = "yes" if row["needs_review"] else ""
        scale = " ".join(f"{scale:.2f}" for scale in row["engine_details"]["scales"])
        kinds = row["rejected"] | ({"faint": row["faint"]} if row["faint"] else {})
        rejected = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
        shown = (f"{low}-{high}", review, row["engine"], scale, f"{row['seconds']:.2f}", rejected)
        lines.append((row["file"], str(row["count"]), *shown))
    if len(rows) > 1 and (counted := [row for row in rows if not row["error"]]):
        lines.append(_total_line(counted, len(rows)))
    file_width = max(len(line[0]) for line in lines)
    row_format = f"{{:<{file_width}}}  {{:>6}}  {{:<13}}  {{:<6}}  {{:<9}}  {{:<6}}  {{:<7}}  {{}}"
    table = "".join(row_format.format(*line).rstrip() + "\n" for line in lines)
    reviews = "".join(
        f"{row['file']}: please check, {row['review_reason']}\n" for row in rows if row["review_reason"]
    )
    return table + reviews + "".join(_estimate_note(row) for row in rows if row["density_estimate"])


def _total_line(counted: Sequence[dict[str, Any]], n_files: int) -> tuple[str, ...]:
    low, high = total_interval(row["count_interval"] for row in counted) or (0, 0)
    images = "all images" if len(counted) == n_files else f"{len(counted)} of {n_files} images"
    return f"in {images}", str(sum(row["count"] for row in counted)), f"{low}-{high}", "", "", "", "", ""


def _estimate_note(row: dict[str, Any]) -> str:
    """Return a line below the table: an estimate stands in no column of counts."""
    about = row["density_estimate"]
    span = f"{about['count']} ({about['low']}-{about['high']})"
    return f"{row['file']}: estimated about {span}; {about['reason']}\n"
