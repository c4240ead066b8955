"""Bringing an archive of recordings into the store: `earshot import`."""
