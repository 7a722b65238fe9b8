"""The network of steps: namespaces of their own behind user-mode network programs, and how names are found there."""
