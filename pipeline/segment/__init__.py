"""Engines: image in, class-agnostic candidate masks out."""
