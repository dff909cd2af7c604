"""Every metric, declared once; names are fixed, labels are bounded.

Processes share them through ``PROMETHEUS_MULTIPROC_DIR`` where it is set: web and workers alike.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

API_REQUESTS = Counter(
    "api_requests", "HTTP requests; endpoint is the route's template", ["method", "endpoint", "status"]
)
API_DURATION = Histogram(
    "api_request_duration_seconds",
    "Seconds until the response started",
    ["method", "endpoint"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10, 60),
)
INFERENCE_JOBS = Counter("inference_jobs", "Jobs by the state they ended in", ["status"])
INFERENCE_DURATION = Histogram(
    "inference_duration_seconds",
    "Seconds from the start of a job to its end",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)
MODEL_TIME = Histogram(
    "model_inference_time_seconds",
    "Seconds an image spends in one stage of the pipeline",
    ["model", "stage"],
    buckets=(0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 20, 60),
)
UPLOADED_FILES = Counter("uploaded_files", "Image files accepted")
DETECTIONS = Counter("detection_count", "Objects counted, by type of the finite set or 'other'", ["class"])
CORRECTIONS = Counter("corrections", "Human corrections", ["kind"])
COUNT_ERROR = Histogram(
    "count_error_ratio",
    "Relative error of a count that a human corrected: |before - after| / max(after, 1)",
    buckets=(0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)
BATCH_SIZE = Histogram("batch_size", "Images a worker took at once", buckets=(1, 2, 4, 8, 16, 32, 64))
LEASES_EXPIRED = Counter("lease_expired", "Images taken back from a worker that stopped reporting")
SSE_CONNECTIONS = Gauge("sse_connections", "Open event streams", multiprocess_mode="livesum")
GPU_UTILIZATION = Gauge(
    "gpu_utilization_percent", "GPU busy, in percent", ["device"], multiprocess_mode="livemostrecent"
)
