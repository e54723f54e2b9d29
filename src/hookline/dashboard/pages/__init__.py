"""One module for each group of pages: it asks the SDK, and gives what its templates show."""
