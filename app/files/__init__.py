"""The pictures: originals and overlays."""
