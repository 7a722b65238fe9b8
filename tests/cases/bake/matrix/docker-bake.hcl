# docs/bake-reference.md, target.matrix: the label becomes a group; JSON lists targets by name.
target "app" {
  name   = "app-${tgt}-${replace(version, ".", "-")}"
  matrix = {
    tgt     = ["foo", "bar"]
    version = ["1.0", "2.0"]
  }
  target = tgt
  args   = { VERSION = version }
}
