variable "project_id" {
  description = "The Google Cloud project."
  type        = string
}

variable "region" {
  description = "Of the service, the database and the bucket."
  type        = string
  default     = "asia-northeast1"
}

variable "name" {
  description = "Of the service; other things begin with it."
  type        = string
  default     = "ailab-mlflow"
}

variable "image" {
  description = "The server's image, built from Dockerfile and pushed: region-docker.pkg.dev/project/repository/name:tag."
  type        = string
}

variable "bucket" {
  description = "The name of the bucket for artifacts and models, unique in all of Google Cloud."
  type        = string
}

variable "whitelist" {
  description = "The path of the whitelist file."
  type        = string
  default     = "whitelist.yaml"
}

variable "tier" {
  description = "The machine of the database."
  type        = string
  default     = "db-custom-1-3840"
}

variable "programmatic_clients" {
  description = "OAuth clients whose ID tokens IAP takes from people's programs: by default gcloud's own. It holds for all of IAP in the project."
  type        = list(string)
  default     = ["32555940559.apps.googleusercontent.com"]
}
