"""Runs: the journal, scoring in parallel, one search, its progress and its front."""
