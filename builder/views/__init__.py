"""Read models: figures shown to people, computed once for every face."""
