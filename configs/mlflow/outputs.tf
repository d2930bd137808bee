output "host" {
  description = "MLFLOW_HOST."
  value       = module.service.service_uri
}

output "endpoints" {
  description = "Of each workspace: MLFLOW_TRACKING_URI."
  value       = { for workspace, path in module.whitelist.paths : workspace => "${module.service.service_uri}${path}" }
}
