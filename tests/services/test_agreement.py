"""Whatever is done to jobs, in whatever order: all that is told of their counts agrees."""

from __future__ import annotations

from collections.abc import Container
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.contract import ErrorCode, PipelineError
from pipeline.run import ImageOutcome
from tests.doubles import crowded
from tests.doubles.painted import shade_of
from tests.services import asked
from tests.services.agreement import Data, agreed, check_answer, check_recount, told, unversioned
from tests.services.client import Client, data_of, error_of
from tests.services.workplace import SQLITE

pytestmark = SQLITE  # what is told does not depend on the database

FEW = settings(
    max_examples=8,
    stateful_step_count=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
MOST_JOBS = 3
NUMBER = count()
"""Names of types and templates, one after the other."""


class Jobs(RuleBasedStateMachine):
    """Jobs over painted images, and what was told of each image when it was last looked at."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self.is_broken = False
        self.told: dict[str, Data] = {}
        self.untouched: dict[tuple[str, str], Data] = {}  # told of the settings of now, without a correction
        self.of_old_types: set[tuple[str, str]] = set()  # counted before the type was changed
        self.type_name = f"coin{next(NUMBER)}"
        body = {"name": self.type_name, "min_area_px": 20}
        self.type_id = data_of(client.post("/types", body))["type_id"]

    # --- jobs

    @initialize(files=st.lists(asked.photos, min_size=1, max_size=3), config=asked.configs)
    def first(self, files: list[bytes], config: Data) -> None:
        self._add(self.client.accepted(*files, config=config, type=self.type_name)["job_id"])

    @precondition(lambda self: len(self.told) < MOST_JOBS)
    @rule(files=st.lists(asked.photos, min_size=1, max_size=3), config=asked.configs, data=st.data())
    def submit(self, files: list[bytes], config: Data, data: st.DataObject) -> None:
        if data.draw(st.booleans(), "with examples"):
            config |= {"exemplars": self._exemplars(data)}
        answer = self.client.submit(*files, config=config, type=self.type_name)
        if answer.status_code == 202:
            self._add(data_of(answer)["job_id"])
        else:
            assert error_of(answer)["code"] == "INVALID_CONFIG"

    @precondition(lambda self: len(self.told) < MOST_JOBS)
    @rule(config=asked.configs, data=st.data())
    def count_again(self, config: Data, data: st.DataObject) -> None:
        job = data_of(self.client.get(f"/jobs/{self._job(data)}"))
        config |= {"exemplars": self._exemplars(data)}
        ids = [image["file_id"] for image in job["images"]]
        chosen = data.draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
        body = {"upload_id": job["upload_id"], "file_ids": chosen, "type": self.type_name, "config": config}
        answer = self.client.post("/inference/predict", body)
        if answer.status_code == 202:
            self._add(data_of(answer)["job_id"])
        else:
            assert error_of(answer)["code"] == "INVALID_CONFIG"

    @precondition(lambda self: len(self.told) < MOST_JOBS)
    @rule(files=st.lists(asked.photos, min_size=1, max_size=3), config=asked.configs)
    def fail_and_retry(self, files: list[bytes], config: Data) -> None:
        self.is_broken = True
        job_id = self.client.accepted(*files, config=config, type=self.type_name)["job_id"]
        self._add(job_id)
        self.is_broken = False
        answer = self.client.post(f"/jobs/{job_id}/retry")
        if answer.status_code == 202:
            self._add(data_of(answer)["job_id"])
        else:
            assert error_of(answer)["code"] == "INVALID_STATE"

    @precondition(lambda self: len(self.told) > 1)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        job_id = self._job(data)
        data_of(self.client.http.delete(f"/api/jobs/{job_id}"))
        del self.told[job_id]
        self._look()

    # --- corrections

    @precondition(lambda self: self._counted())
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        self._correct(data)

    @precondition(lambda self: self._counted())
    @rule(data=st.data())
    def edit_and_take_back(self, data: st.DataObject) -> None:
        before = dict(self.told)
        job_id, file_id, correction_id = self._correct(data)
        if correction_id is not None:
            self._revert(job_id, file_id, correction_id)
            assert unversioned(self.told[job_id][file_id]) == unversioned(before[job_id][file_id])

    @precondition(lambda self: self._counted())
    @rule(data=st.data())
    def revert(self, data: st.DataObject) -> None:
        job_id, file_id = data.draw(st.sampled_from(self._counted()))
        if standing := self._standing(job_id, file_id):
            self._revert(job_id, file_id, data.draw(st.sampled_from(standing)))

    @precondition(lambda self: self._counted())
    @rule(data=st.data())
    def revert_all(self, data: st.DataObject) -> None:
        job_id, file_id = data.draw(st.sampled_from(self._counted()))
        standing = self._standing(job_id, file_id)
        for correction_id in data.draw(st.permutations(standing)):
            self._revert(job_id, file_id, correction_id)
        if standing and (before := self.untouched.get((job_id, file_id))):
            assert unversioned(self.told[job_id][file_id]) == unversioned(before)

    # --- recounts

    @precondition(lambda self: self._counted())
    @rule(config=asked.configs, data=st.data())
    def recount(self, config: Data, data: st.DataObject) -> None:
        job_id, file_id = data.draw(st.sampled_from(self._counted()))
        if data.draw(st.booleans(), "with examples"):
            config |= {"exemplars": self._exemplars(data)}
        body = {"config": config, "from_job_config": data.draw(st.booleans(), "from_job_config")}
        self._recount(job_id, body | {"file_id": data.draw(st.sampled_from([None, file_id]), "file_id")})

    @precondition(lambda self: self._counted())
    @rule(data=st.data(), scope=st.sampled_from(["image", "job"]))
    def choose_groups(self, data: st.DataObject, scope: str) -> None:
        job_id, file_id = data.draw(st.sampled_from(self._counted()))
        choices = data.draw(asked.groups(self.told[job_id].values(), self.type_name), "groups")
        file = {"file_id": data.draw(st.sampled_from([None, file_id]), "file_id")}
        self._recount(job_id, {"config": {"groups": choices, "groups_scope": scope}} | file)

    @precondition(lambda self: self._counted())
    @rule(data=st.data())
    def learn(self, data: st.DataObject) -> None:
        job_id, file_id = data.draw(st.sampled_from(self._counted()))
        named = data.draw(st.sampled_from([{}, {"file_ids": [file_id]}, {"file_id": file_id}]))
        self._recount(job_id, {"config": {}, "from_corrections": True} | named)

    @precondition(lambda self: self._counted())
    @rule(data=st.data())
    def recount_with_what_it_has(self, data: st.DataObject) -> None:
        job_id, file_id = data.draw(st.sampled_from(self._counted()))
        before, was_old = self.told[job_id][file_id], (job_id, file_id) in self.of_old_types
        self._recount(job_id, {"config": {}, "file_id": file_id})
        if not was_old:
            assert unversioned(self.told[job_id][file_id]) == unversioned(before)

    @precondition(lambda self: self._counted())
    @rule(config=asked.configs, data=st.data())
    def ask_for_another_type(self, config: Data, data: st.DataObject) -> None:
        job_id, _ = data.draw(st.sampled_from(self._counted()))
        self._recount(job_id, {"type": data.draw(asked.words | st.just(self.type_name)), "config": config})

    @precondition(lambda self: self._counted())
    @rule(config=asked.configs, data=st.data())
    def use_a_template(self, config: Data, data: st.DataObject) -> None:
        name = f"tray {next(NUMBER)}"
        body = {"name": name, "type": self.type_name, "config": config}
        answer = self.client.post("/templates", body | {"exemplars": self._exemplars(data)})
        if answer.status_code == 201:
            job_id, file_id = data.draw(st.sampled_from(self._counted()))
            file = {"file_id": data.draw(st.sampled_from([None, file_id]))}
            self._recount(job_id, {"config": {"template": name}} | file)

    @rule(data=st.data())
    def change_the_type(self, data: st.DataObject) -> None:
        change = data.draw(asked.type_changes(self.type_name))
        data_of(self.client.http.patch(f"/api/types/{self.type_id}", json=change))
        self.of_old_types |= {(job, file) for job, images in self.told.items() for file in images}
        self._look()

    # --- how

    def _work(self) -> None:
        def count_batch(requests: Any, *, on_outcome: Any, **options: Any) -> list[ImageOutcome]:
            bad = [one for one in requests if self.is_broken and shade_of(one.path) & asked.BROKEN]
            error = PipelineError(ErrorCode.CORRUPTED_FILE, "it is broken")
            failed = [ImageOutcome(one.image_id, error=error) for one in bad]
            for outcome in failed:
                on_outcome(outcome)
            good = [one for one in requests if one not in bad]
            return failed + crowded.count_batch(good, on_outcome=on_outcome, **options)

        self.client.workplace.drain(count_batch)

    def _add(self, job_id: str) -> None:
        self._work()
        self.told[job_id] = {}
        self._look()

    def _look(self, changed_job: str = "", changed: Container[str] = ()) -> None:
        """Look at all jobs: they agree, and nothing moved but these images of that job, each by a version."""
        for job_id, before in list(self.told.items()):
            is_same = before and job_id != changed_job
            now = told(self.client, job_id) if is_same else agreed(self.client, job_id)
            assert not before or now.keys() == before.keys()
            for file_id, image in now.items():
                if file_id not in before:
                    self.untouched[job_id, file_id] = image
                elif job_id == changed_job and file_id in changed:
                    assert image["version"] == before[file_id]["version"] + 1
                else:
                    assert image == before[file_id]
            self.told[job_id] = now

    def _job(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.told)), "job")

    def _counted(self) -> list[tuple[str, str]]:
        return [(job_id, file_id) for job_id, images in self.told.items() for file_id in images]

    def _standing(self, job_id: str, file_id: str) -> list[str]:
        listed = data_of(self.client.get(f"/corrections?job_id={job_id}&file_id={file_id}&page_size=100"))
        return [one["correction_id"] for one in listed if one["reverted_at"] is None]

    def _correct(self, data: st.DataObject) -> tuple[str, str, str | None]:
        job_id, file_id = data.draw(st.sampled_from(self._counted()))
        image = self.told[job_id][file_id]
        body: Data = {"job_id": job_id, "file_id": file_id, "version": image["version"]}
        number = data.draw(st.sampled_from([None, None, None, 0, 1, 5, 30]), "number")
        body |= {} if number is None else {"count": number}
        if number is None or data.draw(st.booleans()):
            body |= {"edits": data.draw(st.lists(asked.edits(image), min_size=1, max_size=3), "edits")}
        answer = self.client.post("/correct", body)
        if answer.status_code != 200:
            assert error_of(answer)["code"] == "INVALID_REQUEST"
            self._look()
            return job_id, file_id, None
        made = data_of(answer)
        check_answer(self.client, job_id, made)
        self._look(job_id, {file_id})
        after = self.told[job_id][file_id]
        moved = len(after["detections"]) - len(image["detections"])
        assert made["count_before"] == image["count"]
        assert made["count"] == (max(0, image["count"] + moved) if number is None else number)
        newest = data_of(self.client.get(f"/corrections?job_id={job_id}&file_id={file_id}"))[0]
        assert newest["correction_id"] == made["correction_id"]
        assert (newest["count_before"], newest["count_after"]) == (made["count_before"], made["count"])
        assert newest["version"] == made["version"]
        return job_id, file_id, made["correction_id"]

    def _revert(self, job_id: str, file_id: str, correction_id: str) -> None:
        before = self.told[job_id][file_id]
        made = data_of(self.client.post(f"/corrections/{correction_id}/revert"))
        assert made["count_before"] == before["count"]
        check_answer(self.client, job_id, made)
        self._look(job_id, {file_id})

    def _exemplars(self, data: st.DataObject) -> list[Data]:
        images = [self.told[job_id][file_id] for job_id, file_id in self._counted()]
        return data.draw(asked.exemplars(images), "examples")

    def _recount(self, job_id: str, body: Data) -> None:
        path, before = f"/jobs/{job_id}/recount", self.told[job_id]
        dry, only = self.client.post(path, body | {"dry_run": True}), body.get("file_id")
        self._look()
        real = self.client.post(path, body)
        assert real.status_code == dry.status_code
        if real.status_code != 200:
            why = error_of(real)["code"]
            assert why == error_of(dry)["code"]
            assert why in ("INVALID_CONFIG", "INVALID_STATE", "RESULTS_NOT_READY"), real.json
            self._look()
            return
        preview, made = data_of(dry), data_of(real)
        for one, other in zip(preview["images"], made["images"], strict=True):
            assert other["version"] == one.pop("version") + 1
            assert one["count_before"] == before[one["file_id"]]["count"]
            assert one["count_interval_before"] == before[one["file_id"]]["count_interval"]
        assert preview | {"dry_run": False} == made | {
            "images": [{k: v for k, v in one.items() if k != "version"} for one in made["images"]]
        }
        changed = {one["file_id"] for one in made["images"]}
        assert only is None or changed <= {only}
        self.of_old_types -= {(job_id, file_id) for file_id in changed}
        self._look(job_id, changed)
        check_recount(made, self.told[job_id])
        for file_id in changed:
            self.untouched.pop((job_id, file_id), None)
            if self.told[job_id][file_id]["count_source"] == "model":
                self.untouched[job_id, file_id] = self.told[job_id][file_id]


def test_all_that_is_told_of_counts_agrees(client: Client) -> None:
    run_state_machine_as_test(lambda: Jobs(client), settings=FEW)
