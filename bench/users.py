"""Many users of the HTTP API in one process, each with its own connection and pauses; run by bench.api_load.

python -m gevent.monkey --module bench.users HOST PORT USERS SECONDS THINK_S JOB_ID
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import time

import gevent


class User:
    """One person: asks, reads the answer, thinks, asks again."""

    def __init__(self, host: str, port: int, think_s: float, job_id: str, seed: int) -> None:
        """Prepare; the connection opens with the first request."""
        self._connection = http.client.HTTPConnection(host, port, timeout=30)
        self._think_s = think_s
        self._random = random.Random(seed)
        self._paths = {
            "GET /jobs/{id}/status": (6, f"/api/v1/jobs/{job_id}/status"),
            "GET /jobs/{id}": (2, f"/api/v1/jobs/{job_id}"),
            "GET /jobs": (2, "/api/v1/jobs?page_size=20"),
            "GET /types": (1, "/api/v1/types"),
            "GET /corrections": (1, f"/api/v1/corrections?job_id={job_id}"),
        }
        self.samples: list[tuple[str, float, bool]] = []

    def use(self, until: float) -> None:
        """Ask for things until the time is over; people do not all start at the same moment."""
        time.sleep(self._random.uniform(0, self._think_s))
        while time.monotonic() < until:
            names = list(self._paths)
            weights = [weight for weight, _ in self._paths.values()]
            (name,) = self._random.choices(names, weights)
            self.samples.append((name, *self._ask(self._paths[name][1])))
            time.sleep(self._random.uniform(0.5, 1.5) * self._think_s)

    def _ask(self, path: str) -> tuple[float, bool]:
        """Return the seconds until the whole answer was there, and whether it was a good one."""
        started = time.perf_counter()
        try:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return time.perf_counter() - started, False
        return time.perf_counter() - started, answer.status == 200


def main() -> None:
    """Print all samples as JSON: [name, seconds, good]."""
    host, port, n_users, seconds, think_s, job_id = sys.argv[1:]
    users = [User(host, int(port), float(think_s), job_id, seed) for seed in range(int(n_users))]
    until = time.monotonic() + float(seconds)
    gevent.joinall([gevent.spawn(user.use, until) for user in users])
    json.dump([sample for user in users for sample in user.samples], sys.stdout)


if __name__ == "__main__":
    main()
