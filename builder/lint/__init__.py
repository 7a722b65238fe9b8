"""Questions about a Buildfile, answered without building: build checks under BuildKit's names, outline, targets."""
