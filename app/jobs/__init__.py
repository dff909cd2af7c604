"""Counting jobs: submit, follow, cancel, retry, recount."""
