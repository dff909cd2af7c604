"""Vision library: images in, counts out. Knows no Flask, no database, no queue."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, when onnxruntime is loaded: it would report to its maker
