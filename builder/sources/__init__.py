"""Where bytes come from: Buildfiles, build contexts, archives, registries, this machine."""
