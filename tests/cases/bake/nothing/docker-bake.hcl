# docs/bake-reference.md, target.context and target.dockerfile: the defaults. Newer ones add the group.
target "default" {}
