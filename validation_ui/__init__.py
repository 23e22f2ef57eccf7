"""The validation app."""
