variable "TAG" { default = "latest" }

variable "LANGUAGES" {
  type        = map(string)
  default     = { en = "Hello", de = "Hallo" }
  description = "what is said, by language"
}

group "default" { targets = ["greeter"] }

# What all of them stand on. Nobody asks for it by name, so it is kept nowhere but in the cache.
target "words" {
  dockerfile-inline = <<END
FROM hello-base
WORKDIR /words
%{ for language, word in LANGUAGES ~}
RUN echo "${word}" > ${language}
%{ endfor ~}
END
}

target "greeter" {
  name     = "greeter-${language}"
  matrix   = { language = keys(LANGUAGES) }
  context  = "greeter"
  contexts = { words = "target:words" }
  args     = { LANGUAGE = language }
  tags     = ["greeter-${language}:${TAG}"]
}
