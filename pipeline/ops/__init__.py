"""Boxes, run lengths, overlaps, suppression, clusters: pure numpy, no stage, no engine."""
