"""The two writers that answer prompts: `measured` from facts alone, `model` by asking models."""
