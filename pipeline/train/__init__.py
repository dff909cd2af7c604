"""Drawn scenes and the training of mini: deep install only, never imported by the stages."""
