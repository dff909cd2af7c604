"""The one place for the version numbers."""

VERSION = "0.1.0"
API_VERSION = "1"
API = f"/api/v{API_VERSION}"
"""Where the API's newest version stands."""
