"""Settings survive the way through JSON, whatever they are."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import ENGINES, MODES, SAM_MODELS, CountSettings, Exemplar, GroupChoice, Region, Tiling
from pipeline.settings import settings_from_json, settings_to_json, unused_model

unit = st.floats(0, 1)
pixel = st.floats(-1e6, 1e6)
side = st.floats(1, 1e6)
point = st.tuples(pixel, pixel)
file_id = st.none() | st.text(min_size=1, max_size=20).filter(str.strip)
flags = st.booleans(), file_id, st.booleans()
exemplar = st.builds(Exemplar, st.tuples(pixel, pixel, side, side), st.none(), *flags) | st.builds(
    Exemplar, st.none(), point, *flags
)
name = st.none() | st.text(min_size=1, max_size=20).filter(lambda s: s.isprintable() and s == s.strip())
groups = st.lists(
    st.builds(GroupChoice, st.integers(0, 9), file_id, name, st.booleans()),
    max_size=3,
    unique_by=lambda choice: (choice.file_id, choice.id),
).map(tuple)
settings_of_any_kind = st.builds(
    CountSettings,
    engine=st.sampled_from(ENGINES),
    mode=st.sampled_from(MODES),
    model=st.none() | st.sampled_from(SAM_MODELS),
    confidence_threshold=unit,
    iou_threshold=unit,
    max_overlap=unit,
    min_area_px=st.none() | st.integers(0, 100),
    max_area_px=st.none() | st.integers(100, 10**9),
    exclude_edge=st.booleans(),
    granularity=st.sampled_from(("auto", "whole", "part")),
    count_what=st.sampled_from(("type", "text", "everything")),
    exemplars=st.lists(exemplar, max_size=3).map(tuple),
    groups=groups,
    groups_scope=st.sampled_from(("image", "job")),
    template=name,
    roi=st.lists(
        st.builds(Region, st.lists(point, min_size=3, max_size=5).map(tuple), st.booleans()), max_size=2
    ).map(tuple),
    tiling=st.builds(
        Tiling,
        st.none() | st.booleans(),
        st.integers(256, 2048),
        st.integers(256, 2048),
        st.floats(0, 0.5),
    ),
    rules=st.none() | st.text(min_size=1, max_size=50).filter(str.strip),
    mask_background=st.booleans(),
    visualize=st.booleans(),
    show_labels=st.booleans(),
    confidence_display=st.booleans(),
    pages=st.sampled_from(("first", "all")),
    priority=st.integers(0, 9),
    webhook_url=st.sampled_from((None, "https://example.org/a?b=c", "http://localhost:81/")),
).filter(lambda settings: unused_model(settings.engine, settings.model) is None)


@given(settings_of_any_kind)
def test_settings_survive_the_round_trip(settings):
    assert settings_from_json(json.loads(json.dumps(settings_to_json(settings)))) == settings
