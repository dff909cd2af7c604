"""``python -m app`` is ``tally``."""

from app.cli import main

main(prog_name="tally")
