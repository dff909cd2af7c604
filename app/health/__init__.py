"""Is the process alive; do its dependencies answer."""
