"""What a run leaves behind: the training file, the dataset card, the report and the table of outcomes."""
