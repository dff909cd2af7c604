"""The one place for the version number."""

VERSION = "0.1.0"
