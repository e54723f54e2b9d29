"""``hookline plan``: how much Hookline a load needs, and what that costs."""
