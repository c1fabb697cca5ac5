"""Runs: the journal, parallel evaluation, callbacks, progress, and the front of a search."""
