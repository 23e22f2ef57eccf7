"""How models are asked: the client of the OpenAI chat API, what servers make of that API, and vLLM started by us."""
