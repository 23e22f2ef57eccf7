"""Reads other layouts of videos and masks, and writes them as a shard of SA-V (pipeline/import_masklets.py)."""
