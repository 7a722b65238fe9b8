"""Root with one ID: system calls about owners and users answered as if all IDs were there. Decision 0011."""
