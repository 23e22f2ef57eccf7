"""Audits texts that others wrote: reads them, and tells what became of each of them."""
