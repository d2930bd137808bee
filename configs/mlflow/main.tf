# The lab's MLflow on Google Cloud: Cloud Run behind Identity-Aware Proxy, PostgreSQL, and a bucket. See docs/mlflow.md.
# Not applied yet: nobody has run `terraform plan` or `apply` on this. tests/test_terraform.py says what is checked.

data "google_project" "lab" {
  project_id = var.project_id
}

resource "google_project_service" "used" {
  for_each           = toset(["iap", "run", "secretmanager", "sqladmin"])
  project            = var.project_id
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_service_account" "mlflow" {
  project      = var.project_id
  account_id   = var.name
  display_name = "The MLflow server"
}

resource "google_project_iam_member" "database" {
  project = var.project_id
  role    = "roles/cloudsql.client"
  member  = google_service_account.mlflow.member
}

resource "google_storage_bucket_iam_member" "artifacts" {
  bucket = module.bucket.name
  role   = "roles/storage.objectUser"
  member = google_service_account.mlflow.member
}

# What modules.tf waits for.
resource "terraform_data" "services" {
  depends_on = [google_project_service.used]
}

resource "terraform_data" "rights" {
  depends_on = [google_project_iam_member.database, google_storage_bucket_iam_member.artifacts]
}

resource "random_password" "database" {
  length  = 32
  special = false # it stands in a URI
}

resource "random_password" "secret_key" {
  length  = 64
  special = false
}

locals {
  secret_texts = {
    database   = "postgresql://mlflow:${local.database_password}@/mlflow?host=/cloudsql/${module.database.instance_connection_name}"
    secret-key = random_password.secret_key.result
    whitelist  = file(var.whitelist)
  }
}

resource "google_secret_manager_secret" "mlflow" {
  for_each  = toset(["database", "secret-key", "whitelist"])
  project   = var.project_id
  secret_id = "${var.name}-${each.key}"
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
  depends_on = [google_project_service.used]
}

resource "google_secret_manager_secret_version" "mlflow" {
  for_each    = google_secret_manager_secret.mlflow
  secret      = each.value.id
  secret_data = local.secret_texts[each.key]
}

resource "google_secret_manager_secret_iam_member" "mlflow" {
  for_each  = google_secret_manager_secret.mlflow
  project   = var.project_id
  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.mlflow.member
}

# People's programs send the token that `gcloud auth print-identity-token` prints; IAP is told to take it.
resource "google_iap_settings" "programs" {
  name = "projects/${data.google_project.lab.number}/iap_web"
  access_settings {
    oauth_settings {
      programmatic_clients = var.programmatic_clients
    }
  }
  depends_on = [google_project_service.used]
}
