"""Masks of a video from texts: the consistent path (Sa2VA-i) and the official one (algorithm 1)."""
