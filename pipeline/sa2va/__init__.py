"""Sa2VA (arXiv 2501.04001): an MLLM whose [SEG] token prompts SAM 2; read data, train, infer, keep checkpoints."""
