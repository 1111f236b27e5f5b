"""Can a robust accuracy be trusted? Attacks compared alone, signs of hidden gradients, flags."""
