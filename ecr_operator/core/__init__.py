"""One resource's way: from what was seen of it to its Secret and its status."""
