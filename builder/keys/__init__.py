"""Cache identity: from a vertex and the content of its inputs to a key. Pure."""
