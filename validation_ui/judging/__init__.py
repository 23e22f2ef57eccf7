"""What happens to an item between its import and its acceptance: it is handed out, looked at, judged and settled."""
