"""Caches that other machines share: what is in one, where it lies, how it is read and written. Knows no build."""
