"""The row of a run (schema.py), its Arrow form (arrow.py) and reading and writing it (io.py)."""
