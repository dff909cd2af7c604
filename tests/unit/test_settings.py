"""The config JSON becomes settings, or a list of everything that is wrong with it."""

from __future__ import annotations

import json
import math

import pytest

from pipeline.contract import CountSettings, Exemplar, GroupChoice, Region, SettingsError, Tiling
from pipeline.settings import settings_from_json, settings_to_json


def wrong_fields(config):
    with pytest.raises(SettingsError) as caught:
        settings_from_json(config)
    return {d["field"]: d["message"] for d in caught.value.details}


def test_nothing_said_means_the_defaults():
    assert settings_from_json({}) == CountSettings()


def test_every_key_of_the_api_is_read():
    config = {
        "engine": "sam",
        "model": "vit_l",
        "mode": "exact",
        "confidence_threshold": 0.4,
        "iou_threshold": 0.6,
        "sahi": {"enabled": True, "slice_width": 512, "slice_height": 256, "overlap_ratio": 0.1},
        "symbolic_reasoning": {"enabled": True, "rules": "reject(C) :- small(C)."},
        "visualization": {"enabled": False, "show_labels": False, "confidence_display": False},
        "exemplars": [
            {"file_id": "img_1", "box": [1, 2, 3, 4]},
            {"point": [5, 6.5], "positive": False},
        ],
        "roi": [{"polygon": [[0, 0], [9, 0], [9, 9]], "include": False, "file_id": "img_1"}],
        "min_area_px": 10,
        "max_area_px": 1000,
        "exclude_edge": True,
        "max_overlap": 0.8,
        "granularity": "part",
        "mask_background": True,
        "priority": 9,
        "pages": "all",
        "webhook_url": "https://example.org/hook",
        "count_what": "exemplars",
    }
    assert settings_from_json(config) == CountSettings(
        engine="sam",
        model="vit_l",
        mode="exact",
        confidence_threshold=0.4,
        iou_threshold=0.6,
        max_overlap=0.8,
        min_area_px=10,
        max_area_px=1000,
        exclude_edge=True,
        granularity="part",
        count_what="exemplars",
        exemplars=(
            Exemplar(bbox_xywh=(1, 2, 3, 4), file_id="img_1"),
            Exemplar(point_xy=(5, 6.5), positive=False),
        ),
        roi=(Region(((0, 0), (9, 0), (9, 9)), include=False, file_id="img_1"),),
        tiling=Tiling(True, 512, 256, 0.1),
        rules="reject(C) :- small(C).",
        mask_background=True,
        visualize=False,
        show_labels=False,
        confidence_display=False,
        pages="all",
        priority=9,
        webhook_url="https://example.org/hook",
    )


def test_all_wrong_fields_are_reported_at_once():
    wrong = wrong_fields(
        {"engine": "yolo", "confidence_threshold": math.nan, "pages": 3, "sahi": {"slice_width": 10}}
    )
    assert set(wrong) == {
        "config.engine",
        "config.confidence_threshold",
        "config.pages",
        "config.sahi.slice_width",
    }
    assert wrong["config.engine"] == "want one of auto, classical, mini, sam, got 'yolo'"
    assert wrong["config.sahi.slice_width"] == "want a whole number from 256 to 2048, got 10"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"treshold": 0.5}, "config.treshold"),
        ({"sahi": {"tile": 3}}, "config.sahi.tile"),
        ({"confidence_threshold": 1.01}, "config.confidence_threshold"),
        ({"confidence_threshold": True}, "config.confidence_threshold"),
        ({"confidence_threshold": "0.5"}, "config.confidence_threshold"),
        ({"confidence_threshold": 10**400}, "config.confidence_threshold"),
        ({"exemplars": [{"point": [1, -(10**400)]}]}, "config.exemplars[0].point[1]"),
        ({"min_area_px": True}, "config.min_area_px"),
        ({"min_area_px": 2.5}, "config.min_area_px"),
        ({"min_area_px": 9, "max_area_px": 8}, "config.min_area_px"),
        ({"exclude_edge": 1}, "config.exclude_edge"),
        ({"sahi": {"enabled": "yes"}}, "config.sahi.enabled"),
        ({"sahi": None}, "config.sahi"),
        ({"visualization": [True]}, "config.visualization"),
        ({"symbolic_reasoning": {"enabled": True}}, "config.symbolic_reasoning.rules"),
        ({"exemplars": [{"box": [1, 2, 3, 4]}, {"box": [1, 2, 0, 4]}]}, "config.exemplars[1].box[2]"),
        ({"exemplars": [{"box": [1, 2, 3, 4], "point": [1, 2]}]}, "config.exemplars[0]"),
        ({"exemplars": [{"point": [1, math.inf]}]}, "config.exemplars[0].point[1]"),
        ({"exemplars": [{"box": [1, 2, 3, 4], "colour": 1}]}, "config.exemplars[0].colour"),
        ({"count_what": "exemplars"}, "config.exemplars"),
        ({"roi": [{"polygon": [[1, 2], [3, 4]]}]}, "config.roi[0].polygon"),
        ({"roi": [{"include": True}]}, "config.roi[0]"),
        ({"roi": [{"polygon": [[0, 0], [9, 0]] * 5_001}] * 2}, "config.roi"),
        ({"roi": [{"polygon": [[0, 0], [9, 0]] * 10_001}]}, "config.roi[0].polygon"),
        ({"roi": [{"polygon": [[0, 0], [9, 0], [9, 9]], "file_id": 3}]}, "config.roi[0].file_id"),
        ({"webhook_url": "ftp://example.org"}, "config.webhook_url"),
        ({"webhook_url": "https:///nowhere"}, "config.webhook_url"),
        ({"priority": 10}, "config.priority"),
        ({"model": "vit_g"}, "config.model"),
        ({"engine": "mini", "model": "vit_b"}, "config.model"),
        ({"engine": "classical", "model": "vit_b"}, "config.model"),
        ({"engine": "yolo", "model": "vit_b"}, "config.engine"),
        ({"groups": [{"id": 0}, {"id": 1.5}]}, "config.groups[1].id"),
        ({"groups": [{"name": "nuts"}]}, "config.groups[0]"),
        ({"groups": [{"id": 0, "name": " nuts"}]}, "config.groups[0].name"),
        ({"groups": [{"id": 0, "file_id": "a"}, {"id": 0, "file_id": "a"}]}, "config.groups[1].id"),
        ({"groups_scope": "all"}, "config.groups_scope"),
        ({"template": "M4\nM5"}, "config.template"),
    ],
)
def test_what_is_out_of_range_or_unknown_is_named(config, field):
    assert list(wrong_fields(config)) == [field]


def test_a_config_that_is_no_object_is_refused():
    assert list(wrong_fields([1])) == ["config"]


def test_what_an_object_lacks_is_named():
    assert wrong_fields({"roi": [[0, 0]]}) == {"config.roi[0]": "want an object with polygon, got [0, 0]"}
    assert wrong_fields({"exemplars": [1]}) == {"config.exemplars[0]": "want an object, got 1"}


def test_rules_that_are_switched_off_are_not_kept():
    assert settings_from_json({"symbolic_reasoning": {"enabled": False, "rules": "x."}}).rules is None
    assert settings_from_json({"symbolic_reasoning": {"rules": "x."}}).rules == "x."


def test_one_group_of_two_images_may_be_chosen_in_both():
    read = settings_from_json(
        {"groups": [{"id": 0, "file_id": "a"}, {"id": 0, "file_id": "b", "counted": False}]}
    )
    assert read.groups == (GroupChoice(0, "a"), GroupChoice(0, "b", None, False))


def test_settings_become_plain_json():
    settings = CountSettings(
        exemplars=(Exemplar(point_xy=(1.0, 2.0)),), roi=(Region(((0, 0), (1, 0), (1, 1))),)
    )
    plain = json.loads(json.dumps(settings_to_json(settings)))
    assert settings_from_json(plain) == settings
