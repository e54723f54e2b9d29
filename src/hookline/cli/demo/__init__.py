"""``make demo``: one node, one receiver, 200 jobs of mixed kinds, and a table of what became of them."""
