"""The finite set of things that can be counted by name."""
