"""Where files lie: local folder or S3."""
