"""Attacks that look for the nearest adversarial image: (model, x, y, norm, *, keys, ...)."""
