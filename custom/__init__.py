"""Your own attacks; README.md here says how."""
