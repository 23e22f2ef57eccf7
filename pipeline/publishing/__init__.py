"""Joins runs to a dataset that others can load, look at and check, and tells what differs between two of them."""
