"""What opening a bundled network leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "from pipeline.sessions import DATA, open_session; open_session(DATA / 'mini.onnx')"


def test_onnxruntime_makes_no_device_id_and_reports_nothing(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=env, check=True, capture_output=True)
    assert [path.name for path in tmp_path.rglob("*")] == []
