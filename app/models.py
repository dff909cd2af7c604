"""All tables, imported once: for Alembic, and so that relationships resolve."""

from app.corrections.models import Correction
from app.events.models import JobEvent
from app.files.models import UnwantedFile
from app.jobs.models import IdempotencyKey, Job, JobImage
from app.results.models import Instance
from app.templates.models import Template, TemplateImage
from app.types.models import ObjectType
from app.uploads.models import Image, Upload

__all__ = [
    "Correction",
    "IdempotencyKey",
    "Image",
    "Instance",
    "Job",
    "JobEvent",
    "JobImage",
    "ObjectType",
    "Template",
    "TemplateImage",
    "UnwantedFile",
    "Upload",
]
