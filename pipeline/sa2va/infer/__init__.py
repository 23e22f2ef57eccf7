"""Segment a video from texts, on the consistent path (Sa2VA-i) or the official one (algorithm 1)."""
