"""The ``config`` JSON of the HTTP API (docs/settings.md) ⇄ ``CountSettings``; standard library only.

``settings_from_json`` reports every bad field at once, each as ``{"field": "config.x", "message": …}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from pipeline.contract import (
    ENGINES,
    MODES,
    PAGES,
    SAM_MODELS,
    CountSettings,
    Exemplar,
    GroupChoice,
    Region,
    SettingsError,
    Tiling,
)

Reader = Callable[[Any], Any]
"""Turns one JSON value into its Python value, or raises ``_WrongError``."""

MAX_RULES_CHARS = 20_000
MAX_EXEMPLARS = 100
MAX_REGIONS = 1_000
MAX_GROUPS = 10_000
MAX_NAME_CHARS = 100
MAX_CORNERS = 20_000
"""Of all regions together: each is compared with each thing."""


class _WrongError(Exception):
    """A value is not what was wanted; ``path`` leads to it inside the field."""

    def __init__(self, want: str, got: Any, path: str = "") -> None:
        shown = repr(got)
        super().__init__(f"want {want}, got {shown if len(shown) <= 80 else shown[:77] + '...'}")
        self.path = path


def settings_from_json(config: Mapping[str, Any]) -> CountSettings:
    """Return the settings that ``config`` asks for; absent keys take their defaults.

    Args:
        config: parsed JSON. ``sahi.enabled`` is true, false or "auto";
            ``symbolic_reasoning.enabled`` false drops the rules.

    Raises:
        SettingsError: any field is unknown, of a wrong type or out of range; ``details`` has them all.
    """
    if not isinstance(config, Mapping):
        raise SettingsError([{"field": "config", "message": str(_WrongError("an object", config))}])
    wrong: list[dict[str, str]] = []
    values = _read_fields("config", config, _FIELDS, wrong)
    tiling = _read_fields("config.sahi", values.pop("sahi", {}), _SAHI, wrong)
    values["tiling"] = Tiling(**tiling)
    values |= _read_rules(values.pop("symbolic_reasoning", {}), wrong)
    shown = _read_fields("config.visualization", values.pop("visualization", {}), _VISUALIZATION, wrong)
    values |= {"visualize" if name == "enabled" else name: on for name, on in shown.items()}
    low, high = values.get("min_area_px"), values.get("max_area_px")
    if low is not None and high is not None and low > high:
        wrong.append(
            {"field": "config.min_area_px", "message": f"want at most max_area_px {high}, got {low}"}
        )
    _check_exemplars_given(values, config, wrong)
    if unused := unused_model(values.get("engine", "auto"), values.get("model")):
        wrong.append({"field": "config.model", "message": unused})
    if wrong:
        raise SettingsError(wrong)
    return CountSettings(**values)


def unused_model(engine: str, model: str | None) -> str | None:
    """Return what is wrong with a model for an engine that has none; ``auto`` says so in its reason."""
    if model is None or engine in ("auto", "sam"):
        return None
    return f"want none with the engine {engine} (only sam has models), got {model}"


def settings_to_json(settings: CountSettings) -> dict[str, Any]:
    """Return the full ``config`` of these settings; ``settings_from_json`` gives them back, equal."""
    plain = {name: getattr(settings, name) for name in _FIELDS if name not in _NESTED}
    tiling = settings.tiling
    return plain | {
        "exemplars": [_exemplar_to_json(e) for e in settings.exemplars],
        "groups": [asdict(choice) for choice in settings.groups],
        "roi": [_region_to_json(region) for region in settings.roi],
        "sahi": {
            "enabled": "auto" if tiling.enabled is None else tiling.enabled,
            "slice_width": tiling.slice_width,
            "slice_height": tiling.slice_height,
            "overlap_ratio": tiling.overlap_ratio,
        },
        "symbolic_reasoning": {"enabled": settings.rules is not None, "rules": settings.rules},
        "visualization": {
            "enabled": settings.visualize,
            "show_labels": settings.show_labels,
            "confidence_display": settings.confidence_display,
        },
    }


def _read_fields(
    prefix: str, found: Any, readers: Mapping[str, Reader], wrong: list[dict[str, str]]
) -> dict[str, Any]:
    """Read each known key of an object; append what is wrong instead of raising."""
    if not isinstance(found, Mapping):
        wrong.append({"field": prefix, "message": str(_WrongError("an object", found))})
        return {}
    values: dict[str, Any] = {}
    for name, value in found.items():
        reader = readers.get(name)
        if reader is None:
            known = ", ".join(sorted(readers))
            wrong.append(
                {"field": f"{prefix}.{name}", "message": f"want one of the keys {known}, got this one"}
            )
            continue
        try:
            values[name] = reader(value)
        except _WrongError as error:
            wrong.append({"field": f"{prefix}.{name}{error.path}", "message": str(error)})
    return values


def _read_rules(found: Any, wrong: list[dict[str, str]]) -> dict[str, str | None]:
    values = _read_fields("config.symbolic_reasoning", found, _RULES, wrong)
    rules = values.get("rules")
    if values.get("enabled", rules is not None) is False:
        return {"rules": None}
    if rules is None and values.get("enabled"):
        message = str(_WrongError("rules text or a saved name, since enabled is true", None))
        wrong.append({"field": "config.symbolic_reasoning.rules", "message": message})
    return {"rules": rules}


def _check_exemplars_given(
    values: Mapping[str, Any], config: Mapping[str, Any], wrong: list[dict[str, str]]
) -> None:
    """Counting by exemplars needs a positive one (reported once: not when the list itself is wrong)."""
    if values.get("count_what") != "exemplars" or ("exemplars" in config and "exemplars" not in values):
        return
    if not any(exemplar.positive for exemplar in values.get("exemplars", ())):
        message = 'want at least one positive exemplar for count_what "exemplars", got none'
        wrong.append({"field": "config.exemplars", "message": message})


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongError("true or false", value)
    return value


def _number(low: float, high: float) -> Reader:
    def read(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:  # NaN lies nowhere, a long integer has no float
            raise _WrongError(f"a number from {low:g} to {high:g}", value)
        return float(value)

    return read


def _integer(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _WrongError(f"a whole number from {low} to {high}", value)
        return value

    return read


def _choice(*allowed: str) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise _WrongError(f"one of {', '.join(allowed)}", value)
        return value

    return read


def _text(max_chars: int) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > max_chars:
            raise _WrongError(f"text of 1 to {max_chars} characters", value)
        return value

    return read


def _name(value: Any) -> str:
    text = _text(MAX_NAME_CHARS)(value)
    if not text.isprintable() or text != text.strip():
        raise _WrongError("printable text without spaces around it", value)
    return str(text)


def _optional(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


def _tiling_enabled(value: Any) -> bool | None:
    if value == "auto":
        return None
    if not isinstance(value, bool):
        raise _WrongError('true, false or "auto"', value)
    return value


def _url(value: Any) -> str:
    text = _text(2000)(value)
    try:
        parts = urlsplit(text)
        has_host = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        has_host = False
    if not has_host or not text.isprintable() or " " in text:
        raise _WrongError("an http or https URL", value)
    return str(text)


def _list_of(reader: Reader, low: int, high: int) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not low <= len(value) <= high:
            wanted = f"a list of {low}" if low == high else f"a list of {low} to {high}"
            raise _WrongError(wanted, value)
        return tuple(_at(f"[{i}]", reader, item) for i, item in enumerate(value))

    return read


def _at(path: str, reader: Reader, value: Any) -> Any:
    """Read one part of a field, and say where in it the fault lies."""
    try:
        return reader(value)
    except _WrongError as error:
        error.path = path + error.path
        raise


def _object(readers: Mapping[str, Reader], needed: tuple[str, ...]) -> Callable[[Any], dict[str, Any]]:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(name in value for name in needed):
            raise _WrongError(" with ".join(["an object", *needed]), value)
        unknown = [name for name in value if name not in readers]
        if unknown:
            raise _WrongError(f"only the keys {', '.join(readers)}", unknown[0], f".{unknown[0]}")
        return {name: _at(f".{name}", readers[name], item) for name, item in value.items()}

    return read


_PIXEL = _number(-1e6, 1e6)
_SIDE = _number(1, 1e6)


def _bbox_xywh(value: Any) -> tuple[float, float, float, float]:
    x, y, width, height = _list_of(_PIXEL, 4, 4)(value)
    return x, y, _at("[2]", _SIDE, width), _at("[3]", _SIDE, height)


_read_exemplar = _object(
    {
        "file_id": _optional(_text(200)),
        "box": _optional(_bbox_xywh),
        "point": _optional(_list_of(_PIXEL, 2, 2)),
        "positive": _flag,
        "corrected": _flag,
    },
    needed=(),
)
_read_group = _object(
    {
        "id": _integer(0, 10**9),
        "file_id": _optional(_text(200)),
        "name": _optional(_name),
        "counted": _optional(_flag),
        "split": _flag,
    },
    needed=("id",),
)
_read_region = _object(
    {
        "polygon": _list_of(_list_of(_PIXEL, 2, 2), 3, MAX_CORNERS),
        "include": _flag,
        "file_id": _optional(_text(200)),
    },
    needed=("polygon",),
)


def _exemplar(value: Any) -> Exemplar:
    read = _read_exemplar(value)
    box, point = read.get("box"), read.get("point")
    if (box is None) == (point is None):
        raise _WrongError("either a box or a point", value)
    flags = read.get("positive", True), read.get("corrected", False)
    return Exemplar(box, point, flags[0], read.get("file_id"), flags[1])


def _exemplar_to_json(exemplar: Exemplar) -> dict[str, Any]:
    if exemplar.bbox_xywh is not None:
        place = {"box": list(exemplar.bbox_xywh)}
    else:
        place = {"point": list(exemplar.point_xy or ())}
    marked = {"corrected": True} if exemplar.corrected else {}
    return {"file_id": exemplar.file_id, "positive": exemplar.positive} | place | marked


def _groups(value: Any) -> tuple[GroupChoice, ...]:
    choices: tuple[GroupChoice, ...] = _list_of(lambda one: GroupChoice(**_read_group(one)), 0, MAX_GROUPS)(
        value
    )
    seen: set[tuple[str | None, int]] = set()
    for i, choice in enumerate(choices):
        if (choice.file_id, choice.id) in seen:
            raise _WrongError("each group once", choice.id, f"[{i}].id")
        seen.add((choice.file_id, choice.id))
    return choices


def _region(value: Any) -> Region:
    read = _read_region(value)
    return Region(read["polygon"], read.get("include", True), read.get("file_id"))


def _regions(value: Any) -> tuple[Region, ...]:
    regions: tuple[Region, ...] = _list_of(_region, 0, MAX_REGIONS)(value)
    n_corners = sum(len(region.polygon_xy) for region in regions)
    if n_corners > MAX_CORNERS:
        raise _WrongError(f"at most {MAX_CORNERS} corners in all", n_corners)
    return regions


def _region_to_json(region: Region) -> dict[str, Any]:
    polygon = [list(point) for point in region.polygon_xy]
    return {"polygon": polygon, "include": region.include, "file_id": region.file_id}


_NESTED = ("exemplars", "groups", "roi", "sahi", "symbolic_reasoning", "visualization")
_FIELDS: dict[str, Reader] = {
    "engine": _choice(*ENGINES),
    "model": _optional(_choice(*SAM_MODELS)),
    "mode": _choice(*MODES),
    "confidence_threshold": _number(0, 1),
    "iou_threshold": _number(0, 1),
    "max_overlap": _number(0, 1),
    "min_area_px": _optional(_integer(0, 10**9)),
    "max_area_px": _optional(_integer(1, 10**9)),
    "exclude_edge": _flag,
    "granularity": _choice("auto", "whole", "part"),
    "count_what": _choice("type", "text", "exemplars", "everything"),
    "mask_background": _flag,
    "priority": _integer(0, 9),
    "pages": _choice(*PAGES),
    "webhook_url": _optional(_url),
    "exemplars": _list_of(_exemplar, 0, MAX_EXEMPLARS),
    "groups": _groups,
    "groups_scope": _choice("image", "job"),
    "template": _optional(_name),
    "roi": _regions,
    "sahi": lambda value: value,
    "symbolic_reasoning": lambda value: value,
    "visualization": lambda value: value,
}
_SAHI: dict[str, Reader] = {
    "enabled": _tiling_enabled,
    "slice_width": _integer(256, 2048),
    "slice_height": _integer(256, 2048),
    "overlap_ratio": _number(0, 0.5),
}
_RULES: dict[str, Reader] = {"enabled": _flag, "rules": _optional(_text(MAX_RULES_CHARS))}
_VISUALIZATION: dict[str, Reader] = {"enabled": _flag, "show_labels": _flag, "confidence_display": _flag}
