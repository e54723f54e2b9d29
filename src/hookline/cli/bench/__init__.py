"""``hookline bench``: a load generator and a receiver, for any Hookline."""
