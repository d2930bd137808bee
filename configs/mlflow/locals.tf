locals {
  # Put together, not google_service_account.mlflow.email: the module counts by it before anything is applied.
  service_account   = "${var.name}@${var.project_id}.iam.gserviceaccount.com"
  database_password = random_password.database.result
  audience          = "/projects/${data.google_project.lab.number}/locations/${var.region}/services/${var.name}"
  # Of each secret: its name and version, once the service may read it.
  secrets = {
    for name, version in google_secret_manager_secret_version.mlflow : name => {
      secret  = google_secret_manager_secret_iam_member.mlflow[name].secret_id
      version = version.version
    }
  }
}
