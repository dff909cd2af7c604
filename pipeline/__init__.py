"""Vision library: images in, counts out. Knows no Flask, no database, no queue."""
