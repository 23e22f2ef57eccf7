"""The data of a run: its rows (schema.py, expression.py), their Arrow schemas (arrow.py) and its files (io.py)."""
