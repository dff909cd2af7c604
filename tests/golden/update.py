"""Write the golden results anew: ``make golden``. Look at the difference before committing it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from tests.golden.scenes import (
    EXPECTED,
    FOLDER,
    MANIFEST,
    MASKS,
    PICTURES,
    answer,
    counted,
    foreground,
    manifest,
)


def main() -> None:
    """Count every picture and write expected.json, masks.npz and MANIFEST.json."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = {name: counted(name, Path(folder)) for name in PICTURES}
    EXPECTED.write_text(json.dumps({name: answer(o) for name, o in outcomes.items()}, indent=1) + "\n")
    np.savez_compressed(MASKS, **{name: np.packbits(foreground(o)) for name, o in outcomes.items()})
    MANIFEST.write_text(json.dumps(manifest(), indent=1) + "\n")


if __name__ == "__main__":
    main()
