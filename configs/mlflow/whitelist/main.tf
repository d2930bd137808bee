# The whitelist file as Terraform sees it. It needs no provider: `terraform init && terraform test` work anywhere.
# What the server refuses is refused here too: ailab_dataproc/experiment/server/whitelist.py has the same rules.

terraform {
  required_version = ">= 1.9"
}

variable "text" {
  description = "The text of the whitelist file: people = e-mail -> list of workspace[:role], and whom to ask."
  type        = string
}

locals {
  email    = "^[a-z0-9][a-z0-9._%+'-]*@[a-z0-9-]+(\\.[a-z0-9-]+)+$"
  entry    = "^([a-z0-9][-a-z0-9]{0,61}[a-z0-9](:(admin|member|reader))?|\\*:admin)$"
  reserved = split(" ", "ajax-api api default docs favicon.ico gateway get-artifact graphql health metrics mlflow model-versions redoc openapi.json signup static static-files v1 version workspaces yes no on off")

  # yes, no, on and off: YAML takes them for text here and for true and false in the server, so they are no names.
  document = try({ for key, value in yamldecode(var.text) : key => value }, {})
  people   = try({ for email, given in local.document.people : email => given }, {})
  # What is wrong is told by the validations above: these only have to get that far.
  entries    = { for email, given in local.people : email => try([for entry in given : try(startswith(jsonencode(entry), "\"") ? tostring(entry) : "not quoted ${jsonencode(entry)}", "a mapping")], []) }
  workspaces = { for email, given in local.entries : email => [for entry in given : split(":", entry)[0]] }
  wrong = distinct([
    for entry in flatten(values(local.entries)) : entry
    if !can(regex(local.entry, entry)) || contains(local.reserved, split(":", entry)[0])
  ])
}

output "members" {
  description = "Everyone, as a policy of Google Cloud names them."
  value = sort([
    for email in keys(local.people) : "${endswith(email, ".gserviceaccount.com") ? "serviceAccount" : "user"}:${email}"
  ])

  precondition {
    condition     = can(keys(yamldecode(var.text)))
    error_message = "The whitelist is no YAML with people = e-mail -> list of workspace[:role]. Mend it."
  }
  precondition {
    condition     = length(setsubtract(keys(local.document), ["people", "ask"])) == 0
    error_message = "The whitelist has a key other than people and ask: ${join(", ", keys(local.document))}. Remove it."
  }
  precondition {
    condition     = try(length(trimspace(local.document.ask)) > 0 && !strcontains(local.document.ask, "\n"), !contains(keys(local.document), "ask"))
    error_message = "The whitelist: ask wants one line that says whom to ask for access. Mend it."
  }
  precondition {
    condition     = length(local.people) > 0
    error_message = "The whitelist: people wants e-mails with their workspaces. Add a person."
  }
  precondition {
    condition     = alltrue([for email in keys(local.people) : can(regex(local.email, email))])
    error_message = "The whitelist: ${join(", ", [for email in keys(local.people) : email if !can(regex(local.email, email))])}: no e-mail in lower case. Mend it."
  }
  precondition {
    condition     = alltrue([for given in values(local.people) : can(given[0])])
    error_message = "The whitelist: ${join(", ", [for email, given in local.people : email if !can(given[0])])}: wanted a list such as [alice, \"team-ads:reader\"]. Mend it."
  }
  precondition {
    condition     = length(local.wrong) == 0
    error_message = "The whitelist: ${join(", ", local.wrong)}: wanted workspace, or workspace:admin, :member or :reader, or *:admin; a workspace has 2 to 63 of a-z, 0-9 and -, and is no name of MLflow's own. Mend it."
  }
  precondition {
    condition     = alltrue([for given in values(local.workspaces) : length(given) == length(distinct(given))])
    error_message = "The whitelist: ${join(", ", [for email, given in local.workspaces : email if length(given) != length(distinct(given))])}: one workspace twice. Keep one of them."
  }
}

output "workspaces" {
  description = "Of each workspace, and of * for all of them: e-mail -> role."
  value = {
    for workspace in toset(flatten(values(local.workspaces))) : workspace => {
      for email, given in local.entries : email => try(split(":", given[index(local.workspaces[email], workspace)])[1], "member")
      if contains(local.workspaces[email], workspace)
    }
  }
}

output "paths" {
  description = "Of each workspace: its path behind the server's address."
  value       = { for workspace in toset(flatten(values(local.workspaces))) : workspace => "/${workspace}" if workspace != "*" }
}
