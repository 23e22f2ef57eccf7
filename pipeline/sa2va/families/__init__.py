"""The MLLM families that Sa2VA is built on: what differs between them, behind one protocol."""
