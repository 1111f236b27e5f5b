"""Attacks for a given budget: (model, x, y, threat, *, keys, start, seed, ...) -> x_adv."""
