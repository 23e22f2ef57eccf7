"""Who writes the text: from measurements alone, or by asking models."""
