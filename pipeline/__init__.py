"""Vision library: images in, counts out. Knows no Flask, no database, no queue."""

import os

# onnxruntime reads it once, when it is loaded, and would report to its maker without it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
