"""What every web process needs, embedded or in production; address and number come from the command line."""

import os

worker_class = "gevent"
worker_connections = 4000
timeout = 60
keepalive = 30
control_socket_disable = True
loglevel = "warning"


def child_exit(server, worker):
    """Forget the gauges of a web process that ended."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
