"""The browser frontend and the error pages."""
