"""How stages attack and noise judge a network: images, cascades, witnesses, what is written."""
