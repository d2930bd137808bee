terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.47, < 8"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.6"
    }
  }

  # The state holds the database's password: keep it in a bucket that only the platform team reads.
  # backend "gcs" {
  #   bucket = "lab-terraform"
  #   prefix = "mlflow"
  # }
}

provider "google" {
  project = var.project_id
  region  = var.region
}
