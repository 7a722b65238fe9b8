"""Results out: archives, trees. One module a format."""
