"""How well people agree, and how far a project is."""
