"""From an annotation run to what is learned from: videos and expressions, checked, read from files or a frame store."""
