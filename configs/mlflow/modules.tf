# The three modules. They take values from variables and from locals.tf only, so that they can be checked without
# a provider: tests/test_terraform.py does.

module "whitelist" {
  source = "./whitelist"
  text   = file(var.whitelist)
}

module "bucket" {
  source  = "terraform-google-modules/cloud-storage/google//modules/simple_bucket"
  version = "12.3.0"

  project_id               = var.project_id
  name                     = var.bucket
  location                 = var.region
  public_access_prevention = "enforced"
  versioning               = true # a deleted model can be brought back
  lifecycle_rules = [{
    action    = { type = "Delete" }
    condition = { days_since_noncurrent_time = 30 }
  }]
}

module "database" {
  source  = "terraform-google-modules/sql-db/google//modules/postgresql"
  version = "28.1.1"

  project_id                  = var.project_id
  region                      = var.region
  name                        = var.name
  random_instance_name        = true # a name can't be taken again for a week
  database_version            = "POSTGRES_16"
  edition                     = "ENTERPRISE"
  tier                        = var.tier
  disk_size                   = 10
  deletion_protection         = true
  deletion_protection_enabled = true
  db_name                     = "mlflow"
  user_name                   = "mlflow"
  user_password               = local.database_password
  # An address without authorized networks: only Google's connector, which asks IAM, gets in.
  ip_configuration      = { ipv4_enabled = true, authorized_networks = [] }
  connector_enforcement = true
  backup_configuration = {
    enabled                        = true
    start_time                     = "18:00" # UTC: 03:00 in Japan
    point_in_time_recovery_enabled = true
    transaction_log_retention_days = "7"
    retained_backups               = 30
    retention_unit                 = "COUNT"
  }

  depends_on = [terraform_data.services]
}

module "service" {
  source  = "GoogleCloudPlatform/cloud-run/google//modules/v2"
  version = "0.30.0"

  project_id             = var.project_id
  location               = var.region
  service_name           = var.name
  launch_stage           = "BETA" # IAP on Cloud Run itself, without a load balancer
  iap_members            = module.whitelist.members
  create_service_account = false
  service_account        = local.service_account
  timeout                = "3600s" # of one request: a large model is uploaded in one
  template_scaling       = { min_instance_count = 1, max_instance_count = 2 }

  containers = [{
    container_image = var.image
    container_args = [
      "mlflow", "serve", "--host", "0.0.0.0", "--port", "8080", "--folder", "/tmp/ailab_mlflow",
      "--identity", "iap", "--iap-audience", local.audience, "--whitelist", "/etc/ailab/whitelist.yaml",
      "--artifacts", module.bucket.url, "--allowed-hosts", "*.run.app",
    ]
    ports     = { container_port = 8080 }
    resources = { limits = { cpu = "2", memory = "2Gi" }, startup_cpu_boost = true }
    env_secret_vars = {
      MLFLOW_BACKEND_STORE_URI       = local.secrets["database"]
      MLFLOW_FLASK_SERVER_SECRET_KEY = local.secrets["secret-key"]
    }
    volume_mounts = [
      { name = "whitelist", mount_path = "/etc/ailab" },
      { name = "cloudsql", mount_path = "/cloudsql" },
    ]
    startup_probe = { tcp_socket = { port = 8080 }, period_seconds = 5, timeout_seconds = 5, failure_threshold = 36 }
  }]
  volumes = [
    # Named by its version: a new whitelist is a new revision of the service with the same image.
    {
      name = "whitelist"
      secret = {
        secret = local.secrets["whitelist"].secret
        items  = { path = "whitelist.yaml", version = local.secrets["whitelist"].version }
      }
    },
    { name = "cloudsql", cloud_sql_instance = { instances = [module.database.instance_connection_name] } },
  ]

  depends_on = [terraform_data.rights]
}
