"""Saved exemplars and settings."""
