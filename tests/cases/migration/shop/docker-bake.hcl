group "default" { targets = ["api"] }
target "api" { context = "api", }
