"""Each alert of the contract is there, reads metrics that we have, and leads to a section of the runbook."""

from __future__ import annotations

import re

import pytest

from tests.arch.sources import ROOT

ALERT = re.compile(
    r"- alert: (\w+)\n +expr: (.+)\n(?:(?! +- alert).*\n)*? +runbook: docs/runbook\.md#(\S+)$", re.M
)
METRIC = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b(?! *\()")
ALERTS = {
    name: (expr, section) for name, expr, section in ALERT.findall((ROOT / "deploy/alerts.yml").read_text())
}
LIMITS = {
    "TallyQueueLong": "> 20",
    "TallyFewWorkers": "< 2",
    "TallyJobsFail": "> 0.05",
    "TallyAnswersSlow": "> 0.2",
    "TallyDiskFull": "< 0.1",
    "TallyLeaseStuck": "> 0",
}


def test_the_alerts_are_those_of_the_contract() -> None:
    assert {name: expr[-len(LIMITS[name]) :] for name, (expr, _) in ALERTS.items()} == LIMITS


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_reads_metrics_that_there_are(name: str) -> None:
    ours = "".join((ROOT / "app/monitoring" / file).read_text() for file in ("metrics.py", "service.py"))
    read = [re.sub("_(total|bucket)$", "", found) for found in METRIC.findall(ALERTS[name][0])]
    assert read
    assert [found for found in read if f'"{found}"' not in ours and not found.startswith("node_")] == []


def test_each_alert_has_a_section_of_its_own_in_the_runbook() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/runbook.md").read_text(), re.M)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    sections = [section for _, section in ALERTS.values()]
    assert set(sections) <= anchors
    assert len(set(sections)) == len(LIMITS)
