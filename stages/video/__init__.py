"""The one place that reads and writes videos and masks, and measures them. Functions take and return arrays."""
