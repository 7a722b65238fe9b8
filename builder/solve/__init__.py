"""The engine: from a graph to layers, through the cache and the workers."""
