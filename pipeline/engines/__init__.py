"""Where models run and how they are spoken to: everything speaks the OpenAI chat API."""
