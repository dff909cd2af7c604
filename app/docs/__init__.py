"""OpenAPI document and its pages."""
