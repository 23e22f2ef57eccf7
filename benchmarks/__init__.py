"""Side-by-side speed measurements, each printing a ratio against a named reference in the same run."""
