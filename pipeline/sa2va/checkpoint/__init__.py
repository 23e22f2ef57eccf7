"""Read and write Sa2VA checkpoints in the layout that ByteDance publishes on Hugging Face."""
