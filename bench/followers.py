"""Many open event streams of one job in one process; run by bench.sse.

python -m bench.followers HOST PORT STREAMS JOB_ID

Prints ``ready`` when all streams are open; at the end one JSON list a stream: [event number, seconds].
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

CONNECTS_AT_ONCE = 50


async def follow(
    address: tuple[str, int], job_id: str, gate: asyncio.Semaphore, opened: asyncio.Event
) -> list[tuple[int, float]]:
    """Read one stream to its end; return the delay of every event that says when it was sent."""
    async with gate:
        reader, writer = await asyncio.open_connection(*address, limit=1 << 20)
        writer.write(f"GET /api/v1/jobs/{job_id}/events HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        while not (await reader.readline()).startswith(b"event: job.queued"):
            pass
        opened.set()
    delays = []
    while line := await reader.readline():
        if line.startswith(b"data: "):
            data = json.loads(line[6:])
            if "sent_at" in data:
                delays.append((data["number"], time.time() - data["sent_at"]))
        elif line.startswith(b"event: job.cancelled"):
            break
    writer.close()
    return delays


async def main() -> None:
    """Open the streams, say so, and print what they saw."""
    host, port, n_streams, job_id = sys.argv[1:]
    gate = asyncio.Semaphore(CONNECTS_AT_ONCE)
    opened = [asyncio.Event() for _ in range(int(n_streams))]
    streams = [asyncio.create_task(follow((host, int(port)), job_id, gate, event)) for event in opened]
    for event in opened:
        await event.wait()
    print("ready", flush=True)
    print(json.dumps(await asyncio.gather(*streams)))


if __name__ == "__main__":
    asyncio.run(main())
