"""Beyond the ball: transformations of an image, and images made from nothing."""
