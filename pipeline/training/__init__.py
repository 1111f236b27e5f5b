"""Training: one loop, its optimizer, augmentation, adversary and checkpoint."""
