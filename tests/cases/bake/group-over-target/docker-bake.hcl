# docs/bake-reference.md, Group: a group counts before a target of its name, and default targets are sorted.
target "default" { dockerfile-inline = "FROM ubuntu" }
group "default" { targets = ["debian", "alpine"] }
target "alpine" { dockerfile-inline = "FROM alpine" }
target "debian" { dockerfile-inline = "FROM debian" }
