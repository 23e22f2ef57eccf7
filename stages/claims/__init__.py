"""What a text claims of its object, found by word lists alone; a file for every `kind` of `Contradiction`."""
