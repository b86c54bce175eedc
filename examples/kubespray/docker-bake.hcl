# Builds both images for an offline Kubespray with one command:
#
#     BUILD=0.1.0 KUBESPRAY=2.25.1 REPOSITORY=registry.example/org docker buildx bake --push

variable "REPOSITORY" {
  default = "org"
}

# The version of this set of lists.
variable "BUILD" {
  default = "0.1.0"
}

# The release of Kubespray that the lists are for.
variable "KUBESPRAY" {
  default = "2.25.1"
}

group "default" {
  targets = ["files", "images"]
}

target "kso" {
  dockerfile = "kso.yaml"
  platforms  = ["linux/amd64", "linux/arm64"]
}

target "files" {
  inherits = ["kso"]
  target   = "files"
  tags     = ["${REPOSITORY}/kubespray-files:v${BUILD}-${KUBESPRAY}"]
}

target "images" {
  inherits = ["kso"]
  target   = "images"
  tags     = ["${REPOSITORY}/kubespray-images:v${BUILD}-${KUBESPRAY}"]
}
