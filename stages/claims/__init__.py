"""What a text claims of its object, by word lists alone, one kind of claim a file."""
