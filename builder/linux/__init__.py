"""The kernel: syscall wrappers, confined paths, locks, ids. The only room that imports ctypes."""
