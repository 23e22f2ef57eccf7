"""The demo shard: drawn clips in SA-V layout whose truth is known."""
