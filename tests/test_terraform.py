"""configs/mlflow without Google Cloud: style, the whitelist module itself, and what the modules are given.

What providers do is not checked here: `terraform plan` and `apply` need Google Cloud and the registry.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ailab_dataproc.errors import SettingsError

CONFIG = Path(__file__).parent.parent / "configs" / "mlflow"
TERRAFORM = shutil.which("terraform") or ""
pytestmark = pytest.mark.skipif(not TERRAFORM, reason="needs terraform")

# Name -> what the server and Terraform both take.
GOOD = {
    "one": "people: {alice@lab.example: [alice]}",
    "roles": "people: {a.b+c@lab.example: ['alice:admin', 'team-ads:member', 'team-cv:reader', 'x2']}",
    "everywhere": "people: {root@lab.example: ['*:admin', alice]}",
    "service account": "people: {job@lab.iam.gserviceaccount.com: [alice]}",
    "ask": "ask: it@lab.example\npeople: {alice@lab.example: [alice]}",
    "longest": f"people: {{alice@lab.example: [{'a' * 63}]}}",
    "quoted number": "people: {alice@lab.example: ['12']}",
}
# Name -> what both refuse.
BAD = {
    "no YAML": "people: [",
    "empty": "",
    "text": "alice",
    "nobody": "people: {}",
    "list": "people: [alice@lab.example]",
    "no people": "ask: it@lab.example",
    "another key": "people: {alice@lab.example: [alice]}\nteams: []",
    "no e-mail": "people: {alice: [alice]}",
    "capitals": "people: {Alice@lab.example: [alice]}",
    "two @": "people: {a@b@lab.example: [alice]}",
    "space": "people: {'a b@lab.example': [alice]}",
    "no list": "people: {alice@lab.example: alice}",
    "mapping": "people: {alice@lab.example: {alice: admin}}",
    "empty list": "people: {alice@lab.example: []}",
    "null": "people: {alice@lab.example: null}",
    "number": "people: {alice@lab.example: [12]}",
    "mapping in a list": "people: {alice@lab.example: [alice: admin]}",
    "underscore": "people: {alice@lab.example: [Taro_Yamada]}",
    "one letter": "people: {alice@lab.example: [a]}",
    "64 letters": f"people: {{alice@lab.example: [{'a' * 64}]}}",
    "hyphen at the end": "people: {alice@lab.example: [alice-]}",
    "slash": "people: {alice@lab.example: [team/ads]}",
    "reserved": "people: {alice@lab.example: [ajax-api]}",
    "reserved with a role": "people: {alice@lab.example: ['api:reader']}",
    "unknown role": "people: {alice@lab.example: ['alice:owner']}",
    "empty role": "people: {alice@lab.example: ['alice:']}",
    "two roles": "people: {alice@lab.example: ['alice:admin:reader']}",
    "everywhere for members": "people: {alice@lab.example: ['*']}",
    "everywhere for readers": "people: {alice@lab.example: ['*:reader']}",
    "twice": "people: {alice@lab.example: [alice, 'alice:reader']}",
    "yes": "people: {alice@lab.example: [yes]}",
    "ask of two lines": 'ask: "a\\nb"\npeople: {alice@lab.example: [alice]}',
    "ask of nothing": "ask: ''\npeople: {alice@lab.example: [alice]}",
}
# What modules.tf waits for and takes from elsewhere, without providers.
AROUND = """
resource "terraform_data" "services" {}
resource "terraform_data" "rights" {}
locals {
  service_account   = "mlflow@lab.iam.gserviceaccount.com"
  database_password = "secret"
  audience          = "/projects/1/locations/here/services/ailab-mlflow"
  secrets           = { for name in ["database", "secret-key", "whitelist"] : name => { secret = name, version = "1" } }
}
"""
# Of the three modules: the inputs that are required and those that we give, with their types, and the outputs that we
# take, written down from the modules' own documentation. An argument that is not here fails: look it up, then add it.
MODULES = {
    "service": """
variable "project_id" { type = string }
variable "location" { type = string }
variable "service_name" { type = string }
variable "launch_stage" {
  type    = string
  default = "GA"
}
variable "iap_members" {
  type    = list(string)
  default = []
}
variable "create_service_account" {
  type    = bool
  default = true
}
variable "service_account" {
  type    = string
  default = null
}
variable "timeout" {
  type    = string
  default = null
}
variable "template_scaling" {
  type    = object({ min_instance_count = optional(number), max_instance_count = optional(number) })
  default = null
}
variable "containers" {
  type = list(object({
    container_image = string
    container_args  = optional(list(string), null)
    env_secret_vars = optional(map(object({ secret = string, version = string })), {})
    volume_mounts   = optional(list(object({ name = string, mount_path = string })), [])
    ports           = optional(object({ container_port = optional(number, 8080) }), {})
    resources = optional(object({
      limits            = optional(object({ cpu = optional(string), memory = optional(string) }))
      startup_cpu_boost = optional(bool, false)
    }), {})
    startup_probe = optional(object({
      failure_threshold = optional(number, null)
      timeout_seconds   = optional(number, null)
      period_seconds    = optional(number, null)
      tcp_socket        = optional(object({ port = optional(number) }), null)
    }), null)
  }))
}
variable "volumes" {
  type = list(object({
    name = string
    secret = optional(object({
      secret = string
      items  = optional(object({ path = string, version = optional(string), mode = optional(string) }))
    }))
    cloud_sql_instance = optional(object({ instances = optional(list(string)) }))
  }))
  default = []
}
output "service_uri" { value = "https://ailab-mlflow.run.app" }
output "given" { value = { containers = var.containers, volumes = var.volumes, members = var.iap_members } }
""",
    "database": """
variable "project_id" { type = string }
variable "name" { type = string }
variable "database_version" { type = string }
variable "region" { type = string }
variable "random_instance_name" { type = bool }
variable "edition" { type = string }
variable "tier" { type = string }
variable "disk_size" { type = number }
variable "deletion_protection" { type = bool }
variable "deletion_protection_enabled" { type = bool }
variable "db_name" { type = string }
variable "user_name" { type = string }
variable "user_password" { type = string }
variable "connector_enforcement" { type = bool }
variable "ip_configuration" {
  type = object({ ipv4_enabled = optional(bool, true), authorized_networks = optional(list(map(string)), []) })
}
variable "backup_configuration" {
  type = object({
    enabled                        = optional(bool, false)
    start_time                     = optional(string)
    point_in_time_recovery_enabled = optional(bool, false)
    transaction_log_retention_days = optional(string)
    retained_backups               = optional(number)
    retention_unit                 = optional(string)
  })
}
output "instance_connection_name" { value = "lab:here:mlflow-1" }
""",
    "bucket": """
variable "project_id" { type = string }
variable "name" { type = string }
variable "location" { type = string }
variable "public_access_prevention" { type = string }
variable "versioning" { type = bool }
variable "lifecycle_rules" {
  type = list(object({
    action    = object({ type = string, storage_class = optional(string) })
    condition = object({ age = optional(number), days_since_noncurrent_time = optional(number) })
  }))
}
output "name" { value = var.name }
output "url" { value = "gs://${var.name}" }
""",
}


def terraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TERRAFORM, f"-chdir={folder}", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("TF_IN_AUTOMATION", "1")
    monkeypatch.setenv("CHECKPOINT_DISABLE", "1")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/dev/null")


@pytest.fixture(scope="module")
def whitelist(tmp_path_factory):
    """The whitelist module, initialized."""
    folder = tmp_path_factory.mktemp("terraform") / "mlflow"
    shutil.copytree(CONFIG, folder, ignore=shutil.ignore_patterns(".terraform*"))
    assert terraform(folder / "whitelist", "init", "-input=false").returncode == 0
    return folder / "whitelist"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """modules.tf with stand-ins for what needs a provider."""
    folder = tmp_path_factory.mktemp("service")
    text = (CONFIG / "modules.tf").read_text()
    for name, module in MODULES.items():
        (folder / name).mkdir()
        (folder / name / "main.tf").write_text(module)
        text = re.sub(rf'(module "{name}" {{\n  source  = )"[^"]+"\n  version = "[^"]+"', rf'\1"./{name}"', text)
    shutil.copytree(CONFIG / "whitelist", folder / "whitelist", ignore=shutil.ignore_patterns(".terraform*"))
    for file in ("variables.tf", "outputs.tf", "whitelist.yaml"):
        shutil.copy(CONFIG / file, folder)
    shutil.copy(CONFIG / "terraform.tfvars.example", folder / "terraform.tfvars")
    (folder / "modules.tf").write_text(text + 'output "given" { value = module.service.given }\n')
    (folder / "around.tf").write_text(AROUND)
    done = terraform(folder, "init", "-input=false", "-no-color")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_files_are_formatted():
    done = terraform(CONFIG, "fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout


def test_the_whitelist_module_is_valid_and_its_tests_pass(whitelist):
    assert terraform(whitelist, "validate").returncode == 0
    done = terraform(whitelist, "test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_server_and_terraform_take_and_refuse_the_same_files(whitelist, tmp_path):
    from ailab_dataproc.experiment.server.whitelist import read

    runs = [
        f'run "case_{n}" {{\n  command = plan\n  variables {{\n    text = {json.dumps(text)}\n  }}\n'
        for n, text in enumerate([*GOOD.values(), *BAD.values()])
    ]
    refused = "  expect_failures = [output.members]\n"
    cases = [run + (refused if n >= len(GOOD) else "") + "}\n" for n, run in enumerate(runs)]
    file = whitelist / "tests" / "cases.tftest.hcl"
    file.write_text("\n".join(cases))
    done = terraform(whitelist, "test", "-no-color", "-filter=tests/cases.tftest.hcl")
    file.unlink()
    names = [*GOOD, *BAD]
    wrong = [names[int(number)] for number in re.findall(r'run "case_(\d+)"\.\.\. fail', done.stdout)]
    assert wrong == []
    assert f"{len(names)} passed" in done.stdout, done.stdout + done.stderr
    for name, text in {**GOOD, **BAD}.items():
        (tmp_path / "whitelist.yaml").write_text(text)
        if name in GOOD:
            assert read(tmp_path / "whitelist.yaml").people
        else:
            with pytest.raises(SettingsError):
                read(tmp_path / "whitelist.yaml")


def test_the_roles_that_terraform_shows_are_those_of_the_server(whitelist):
    from ailab_dataproc.experiment.server.whitelist import read

    terraform(whitelist, "apply", "-auto-approve", f"-var=text={(CONFIG / 'whitelist.yaml').read_text()}")
    shown = json.loads(terraform(whitelist, "output", "-json", "workspaces").stdout)
    found: dict[str, dict[str, str]] = {}
    for email, roles in read(CONFIG / "whitelist.yaml").people.items():
        for workspace, role in roles.items():
            found.setdefault(workspace, {})[email] = role
    assert shown == found


def test_each_argument_of_the_modules_exists_and_has_the_right_type(service):
    done = terraform(service, "validate", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_container_starts_the_server_as_the_command_line_takes_it(service):
    from ailab_dataproc.commands.mlflow import mlflow

    done = terraform(service, "apply", "-auto-approve", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    given = json.loads(terraform(service, "output", "-json", "given").stdout)
    arguments = given["containers"][0]["container_args"]
    assert "gs://lab-mlflow" in arguments
    assert arguments[:2] == ["mlflow", "serve"]
    parsed = mlflow.commands["serve"].make_context("serve", arguments[2:]).params
    assert parsed["identity"] == "iap"
    assert parsed["audience"] == "/projects/1/locations/here/services/ailab-mlflow"
    mounted = given["containers"][0]["volume_mounts"][0]["mount_path"]
    assert str(parsed["whitelist"]) == f"{mounted}/{given['volumes'][0]['secret']['items']['path']}"


def test_who_may_pass_iap_is_who_is_in_the_whitelist(service):
    terraform(service, "apply", "-auto-approve", "-no-color")
    members = json.loads(terraform(service, "output", "-json", "given").stdout)["members"]
    people = yaml.safe_load((CONFIG / "whitelist.yaml").read_text())["people"]
    assert {one.partition(":")[2] for one in members} == set(people)


def test_each_workspace_has_its_endpoint(service):
    terraform(service, "apply", "-auto-approve", "-no-color")
    endpoints = json.loads(terraform(service, "output", "-json", "endpoints").stdout)
    assert endpoints["alice"] == "https://ailab-mlflow.run.app/alice"


def test_no_module_is_left_without_an_exact_version():
    sources = re.findall(r'source  = "(\S+)"\n  version = "(\S+)"', (CONFIG / "modules.tf").read_text())
    assert len(sources) == len(MODULES)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for _, version in sources)


def test_the_systemd_unit_starts_the_server_as_the_command_line_takes_it():
    from ailab_dataproc.commands.mlflow import mlflow

    text = (CONFIG / "ailab-mlflow.service").read_text().replace("\\\n", "")
    _, group, command, *options = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)[0].split()
    assert (group, command) == ("mlflow", "serve")
    assert mlflow.commands["serve"].make_context("serve", options).params["identity"] == "password"
