"""The one door between the application and the pipeline."""
