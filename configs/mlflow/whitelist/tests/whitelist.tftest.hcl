run "the_example_gives_members_and_endpoints" {
  command = plan
  variables {
    text = file("../whitelist.yaml")
  }
  assert {
    condition = output.members == tolist([
      "serviceAccount:trainer@lab-project.iam.gserviceaccount.com",
      "user:alice@lab.example", "user:bob@lab.example", "user:root@lab.example",
    ])
    error_message = "members"
  }
  assert {
    condition     = output.paths == { alice = "/alice", bob = "/bob", team-ads = "/team-ads" }
    error_message = "paths"
  }
  assert {
    condition     = output.workspaces["team-ads"]["bob@lab.example"] == "reader" && output.workspaces["alice"]["alice@lab.example"] == "member"
    error_message = "roles"
  }
  assert {
    condition     = output.workspaces["*"] == { "root@lab.example" = "admin" }
    error_message = "admins"
  }
}

run "a_workspace_that_mlflow_refuses" {
  command         = plan
  expect_failures = [output.members]
  variables {
    text = "people: {taro@lab.example: [Taro_Yamada]}"
  }
}

run "a_name_that_is_no_email" {
  command         = plan
  expect_failures = [output.members]
  variables {
    text = "people: {alice: [alice]}"
  }
}

run "a_role_that_does_not_exist" {
  command         = plan
  expect_failures = [output.members]
  variables {
    text = "people: {alice@lab.example: [\"alice:owner\"]}"
  }
}

run "all_workspaces_are_for_admins_only" {
  command         = plan
  expect_failures = [output.members]
  variables {
    text = "people: {alice@lab.example: [\"*\"]}"
  }
}

run "nobody" {
  command         = plan
  expect_failures = [output.members]
  variables {
    text = "people: {}"
  }
}
