"""How busy this machine's NVIDIA GPUs are, for the metrics; the driver's own tool tells."""

from __future__ import annotations

import logging
import subprocess

from app.monitoring.metrics import GPU_UTILIZATION

log = logging.getLogger(__name__)

QUERY = ("nvidia-smi", "--query-gpu=index,utilization.gpu", "--format=csv,noheader,nounits")
LIMIT_S = 5.0


def observe_gpus() -> bool:
    """Set ``gpu_utilization_percent`` of each GPU that tells; return False where none can ever be asked.

    A GPU that does not tell (one split into instances says "[N/A]") has no value.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a constant
            QUERY, capture_output=True, text=True, timeout=LIMIT_S, check=True
        )
    except FileNotFoundError:
        return False
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("the GPUs do not tell how busy they are", extra={"reason": str(error)})
        return True
    for line in done.stdout.splitlines():
        index, _, percent = (part.strip() for part in line.partition(","))
        if percent.isdecimal():
            GPU_UTILIZATION.labels(index).set(int(percent))
    return True
