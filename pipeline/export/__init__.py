"""Makes what a run leaves behind: the training file, dataset card, report, table of outcomes and frame store."""
