"""Frames, masks and drawing: arrays in, arrays out."""
