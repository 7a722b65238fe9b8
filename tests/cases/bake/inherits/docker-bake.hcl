# docs/bake-reference.md, target.inherits: what comes last counts, names are merged, tags are not.
target "app-dev" {
  args = {
    GO_VERSION   = "1.20"
    EXPERIMENTAL = 1
  }
  tags       = ["docker.io/username/myapp"]
  dockerfile = "app.Dockerfile"
  labels     = { "org.opencontainers.image.source" = "https://example.com/myapp" }
}

target "_release" {
  args = {
    KEEP_GIT_DIR = 1
    EXPERIMENTAL = 0
  }
}

target "app-release" {
  inherits  = ["app-dev", "_release"]
  platforms = ["linux/amd64", "linux/arm64"]
}
