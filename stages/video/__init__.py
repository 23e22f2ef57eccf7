"""The one place that reads and writes videos and masks, and what is measured of them: arrays in, arrays out."""
